"""Check the graph of a functional model: layers that are called, and where each call's tensors come from.

A tensor is `[layer, node, index]`: the layer's name, which of its calls, and which of that call's results.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.keras2 import is_old_graph, translate_graph
from fitqueue.spec.keras_objects.values import CheckObject
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer, did_you_mean, listed

MAX_CALLS: Final = 2000
"""Of all layers of a model together."""

MAX_ENDS: Final = 64
"""Inputs of a model, and outputs."""


def check_graph(config: dict[str, Any], layers: list[Any], at: Pointer, check_object: CheckObject) -> dict[str, Any]:
    if is_old_graph(config):
        at.notice(NoticeCode.TRANSLATED, "The layers' calls are in the form of Keras 2 and read as those of Keras 3.")
        config = translate_graph(config)
        layers = config["layers"]
    if (calls := sum(map(_count_calls, layers))) > MAX_CALLS:
        message = f"The layers of a model may be called {MAX_CALLS} times in all, these are called {calls} times."
        (at / "layers").fault(FaultCode.TOO_LARGE, message)
        return {}
    checked = [_check_node_layer(layer, at / "layers" / i, check_object) for i, layer in enumerate(layers)]
    are_named = check_unique_names(checked, at / "layers")
    graph = {
        "layers": checked,
        "input_layers": _ends(config, "input_layers", at),
        "output_layers": _ends(config, "output_layers", at),
    }
    if are_named and all("inbound_nodes" in layer for layer in checked):
        _check_references(graph, at)
    return graph


def _count_calls(layer: Any) -> int:
    nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
    return len(nodes) if isinstance(nodes, list) else 0


def _check_node_layer(layer: Any, at: Pointer, check_object: CheckObject) -> dict[str, Any]:
    canonical: dict[str, Any] = check_object(layer, "layers", at)
    if not canonical["class_name"]:
        return canonical
    nodes = layer.get("inbound_nodes", [])
    if not isinstance(nodes, list) or not all(_is_node(node) for node in nodes):
        (at / "inbound_nodes").fault(
            FaultCode.BAD_GRAPH,
            "Expected Keras 3's form of inbound nodes.",
            received=nodes,
            expected='a list of {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": [layer, node, '
            'tensor]}}], "kwargs": {}}',
        )
        return canonical
    if not isinstance(canonical["config"].get("name"), str):
        at.fault(FaultCode.MISSING, "A layer of a functional model needs a name.", expected="a name in its config")
        return canonical
    _check_keywords(canonical["class_name"], nodes, at / "inbound_nodes")
    nodes = [{"args": _plain(node["args"]), "kwargs": _plain(node.get("kwargs", {}))} for node in nodes]
    return {**canonical, "inbound_nodes": nodes}


def _is_node(node: Any) -> bool:
    return (
        isinstance(node, dict)
        and node.keys() <= {"args", "kwargs"}
        and isinstance(node.get("args"), list)
        and isinstance(node.get("kwargs", {}), dict)
    )


def _check_keywords(class_name: str, nodes: list[Any], at: Pointer) -> None:
    entry = catalogue.kind("layers").find(class_name)
    known = entry.call if entry else ("inputs", "training", "mask")
    for i, node in enumerate(nodes):
        for key in (key for key in node.get("kwargs", {}) if key not in known):
            (at / i / "kwargs" / key).fault(
                FaultCode.UNKNOWN_FIELD, f"The call of {class_name} takes no {key[:64]!r}.", expected=listed(known)
            )


def _plain(value: Any) -> Any:
    """Arguments of a call, each tensor reduced to the place it comes from: its shape follows from the layers."""
    if history(value) is not None:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": history(value)}}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def history(value: Any) -> Any:
    """[layer, node, tensor] of a `__keras_tensor__`; None for anything else."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        return config.get("keras_history") if isinstance(config, dict) else None
    return None


def tensors_in(value: Any) -> Iterator[Any]:
    """The histories of all tensors in the arguments of a call."""
    if history(value) is not None:
        yield history(value)
    elif isinstance(value, list):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)


def _ends(config: dict[str, Any], key: str, at: Pointer) -> Any:
    """Where the model begins or ends: [layer, node, tensor], a list of several, or an object of them by name.

    Keras writes a single one bare or in a list; here it is always bare.
    """
    value = config.get(key)
    if isinstance(value, list) and len(value) == 1 and is_history(value[0]):
        value = value[0]
    places = places_in(value)
    if not places or len(places) > MAX_ENDS or not all(is_history(place) for place in places.values()):
        expected = "[layer, node, tensor], a list of such, or an object of them by name"
        (at / key).fault(FaultCode.BAD_GRAPH, f"Expected {expected}.", value, expected)
    return value


def places_in(value: Any) -> dict[str | int | None, Any]:
    """The places where a model begins or ends, by their keys in the form that they have: None for a single one."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list) and value and all(isinstance(one, list) for one in value):
        return dict(enumerate(value))
    return {None: value}


def is_history(value: Any) -> bool:
    """Whether it is [layer, node, tensor]."""
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in value[1:])
    )


def _check_references(graph: dict[str, Any], at: Pointer) -> None:
    """Each tensor comes from a call that exists, and no call waits for its own result."""
    calls = {layer["config"]["name"]: _nodes(layer) for layer in graph["layers"]}
    sound = True
    for i, layer in enumerate(graph["layers"]):
        place = at / "layers" / i / "inbound_nodes"
        if not layer["inbound_nodes"] and not is_input(layer):
            place.fault(FaultCode.BAD_GRAPH, f"The layer {layer['config']['name']!r} is connected to nothing.")
        for j, node in enumerate(layer["inbound_nodes"]):
            for tensor in tensors_in([node["args"], node["kwargs"]]):
                sound = _check_reference(tensor, calls, place / j) and sound
    for key in ("input_layers", "output_layers"):
        for name, place in places_in(graph[key]).items():
            here = at / key if name is None else at / key / name
            sound = (not is_history(place) or _check_reference(place, calls, here)) and sound
    if sound and (stuck := _in_a_circle(graph["layers"])):
        (at / "layers").fault(
            FaultCode.BAD_GRAPH, f"These layers wait for each other's results: {listed(sorted(stuck))}."
        )


def _nodes(layer: dict[str, Any]) -> range:
    """Numbers of the layer's calls; an input has one that nobody makes."""
    first = first_node(layer["class_name"])
    return range(first, first + (len(layer["inbound_nodes"]) or int(is_input(layer))))


def first_node(class_name: str) -> int:
    """Number of a layer's first call. To Keras a functional model's own graph is call 0 of it."""
    return 1 if class_name == "Functional" else 0


def _check_reference(tensor: Any, calls: dict[str, range], at: Pointer) -> bool:
    if not is_history(tensor):
        at.fault(FaultCode.BAD_GRAPH, "Expected [layer, node, tensor].", tensor, "[layer, node, tensor]")
        return False
    name, node, _ = tensor
    if name not in calls:
        at.fault(
            FaultCode.BAD_GRAPH,
            f"There is no layer {name[:64]!r}." + did_you_mean(name, calls),
            tensor,
            "a layer's name",
        )
        return False
    if node not in calls[name]:
        at.fault(
            FaultCode.BAD_GRAPH,
            f"The layer {name!r} has no node {node}; its calls are {listed(list(map(str, calls[name])))}.",
            tensor,
        )
        return False
    return True


def _in_a_circle(layers: list[dict[str, Any]]) -> set[str]:
    """Names of layers whose calls wait for each other's results, so that none of them can ever be made."""
    needs = {
        (layer["config"]["name"], j): {(name, node) for name, node, _ in tensors_in([call["args"], call["kwargs"]])}
        for layer in layers
        for j, call in enumerate(layer["inbound_nodes"], start=first_node(layer["class_name"]))
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return {name for name, _ in error.args[1]}
    return set()


def is_input(layer: dict[str, Any]) -> bool:
    return bool(layer["class_name"] == "InputLayer")


def check_unique_names(layers: list[dict[str, Any]], at: Pointer) -> bool:
    """Whether no two layers share a name."""
    seen: set[str] = set()
    faulty = False
    for i, layer in enumerate(layers):
        name = layer["config"].get("name")
        if not isinstance(name, str):
            continue
        if name in seen:
            message = f"Another layer has the name {name[:64]!r} already."
            (at / i / "config" / "name").fault(FaultCode.DUPLICATE_NAME, message, name, "a name of its own")
            faulty = True
        seen.add(name)
    return not faulty
