"""Check the graph of a functional model: the calls of its layers, and the layers that each call's tensors come from.

A tensor is written as its `keras_history`, `[layer, node, tensor]`: the name of a layer, the number of one of its
calls, and the number of one of that call's results.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from fitqueue.spec.findings import FaultCode, Pointer, did_you_mean, listed, quoted
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.mask_operations import is_operation
from fitqueue.spec.keras_objects.naming import ANY_NAME, has_pattern

MAX_CALLS: Final = 2000
"""How many calls all layers of a model may have together."""

MAX_IO: Final = 64
"""How many inputs a model may have, and how many outputs."""


def is_input(layer: dict[str, Any]) -> bool:
    """Return whether a layer is an InputLayer."""
    return bool(layer["class_name"] == "InputLayer")


# --- Layers and their calls ----------------------------------------------------------------------------------------


def check_call_count(layers: list[Any], pointer: Pointer) -> bool:
    """Report layers that have too many calls together. Return whether the number is allowed."""
    count = sum(map(_count_calls, layers))
    if count > MAX_CALLS:
        message = f"The layers of this model are called {count} times; at most {MAX_CALLS} calls are allowed."
        pointer.add_fault(FaultCode.TOO_LARGE, message)
    return count <= MAX_CALLS


def _count_calls(layer: Any) -> int:
    nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
    return len(nodes) if isinstance(nodes, list) else 0


def with_calls(checked: dict[str, Any], layer: Any, pointer: Pointer) -> dict[str, Any]:
    """Return a checked layer with its calls, the `inbound_nodes` of the layer as it was sent.

    If a fault is found, or the layer itself has one, it is returned without its calls.
    """
    if not checked["class_name"]:
        return checked
    nodes = layer.get("inbound_nodes", [])
    if not isinstance(nodes, list) or not all(_is_node(node) for node in nodes):
        (pointer / "inbound_nodes").add_fault(
            FaultCode.BAD_GRAPH,
            "Expected inbound nodes in the form of Keras 3.",
            received=nodes,
            expected='a list of {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": [layer, node, '
            'tensor]}}], "kwargs": {}}',
        )
        return checked
    if not isinstance(checked["config"].get("name"), str):
        pointer.add_fault(FaultCode.MISSING, "A layer of a functional model needs a name.", expected="a name in config")
        return checked
    _check_keywords(checked, nodes, pointer / "inbound_nodes")
    nodes = [{"args": _canonical(node["args"]), "kwargs": _canonical(node.get("kwargs", {}))} for node in nodes]
    return {**checked, "inbound_nodes": nodes}


def _is_node(node: Any) -> bool:
    return (
        isinstance(node, dict)
        and node.keys() <= {"args", "kwargs"}
        and isinstance(node.get("args"), list)
        and isinstance(node.get("kwargs", {}), dict)
    )


def _check_keywords(layer: dict[str, Any], nodes: list[Any], pointer: Pointer) -> None:
    class_name = layer["class_name"]
    known = _keywords_of(layer)
    for i, node in enumerate(nodes):
        for name in (name for name in node.get("kwargs", {}) if name not in known):
            (pointer / i / "kwargs" / name).add_fault(
                FaultCode.UNKNOWN_FIELD,
                f"The call of {class_name} has no argument {quoted(name)}.",
                expected="one of " + listed(known),
            )


def _keywords_of(layer: dict[str, Any]) -> tuple[str, ...]:
    """Return the arguments of a layer's call. Those of an operation have no names."""
    if is_operation(layer):
        return ()
    entry = catalogue.kind("layers").find(layer["class_name"])
    return entry.call if entry else ("inputs", "training", "mask")


def _canonical(value: Any) -> Any:
    """Return the arguments of a call with each tensor reduced to its history: its shape follows from the layers."""
    history = keras_history(value)
    if history is not None:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return value


def check_unique_names(layers: list[dict[str, Any]], pointer: Pointer) -> bool:
    """Report layers that have the name of another layer. Return whether all names are unique."""
    seen: set[str] = set()
    unique = True
    for i, layer in enumerate(layers):
        name = layer["config"].get("name")
        if not isinstance(name, str):
            continue
        if name in seen:
            message = f"Another layer already has the name {quoted(name)}."
            (pointer / i / "config" / "name").add_fault(FaultCode.DUPLICATE_NAME, message, name, "a unique name")
            unique = False
        seen.add(name)
    return unique


# --- Tensors -------------------------------------------------------------------------------------------------------


def keras_history(value: Any) -> Any:
    """Return the history of a `__keras_tensor__`; None for any other value."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        return config.get("keras_history") if isinstance(config, dict) else None
    return None


def is_keras_history(value: Any) -> bool:
    """Return whether a value is [layer, node, tensor]."""
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in value[1:])
    )


def histories_in(value: Any) -> Iterator[Any]:
    """Yield the history of each tensor in the arguments of a call."""
    history = keras_history(value)
    if history is not None:
        yield history
    elif isinstance(value, list):
        for item in value:
            yield from histories_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from histories_in(item)


def histories_by_key(value: Any) -> dict[str | int | None, Any]:
    """Return the histories of a model's inputs or outputs by name, or by index in a list; a single one under None."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list) and value and all(isinstance(item, list) for item in value):
        return dict(enumerate(value))
    return {None: value}


# --- The model's inputs and outputs, and the connections ------------------------------------------------------------


def check_graph(config: dict[str, Any], layers: list[dict[str, Any]], pointer: Pointer) -> dict[str, Any]:
    """Return the graph of a functional model, and report its faults.

    Args:
        config: the config of the model as it was sent.
        layers: its layers, from `with_calls`.
        pointer: leads to the config.
    """
    unique = check_unique_names(layers, pointer / "layers")
    graph = {
        "layers": layers,
        "input_layers": _check_io(config.get("input_layers"), pointer / "input_layers"),
        "output_layers": _check_io(config.get("output_layers"), pointer / "output_layers"),
    }
    if unique and all("inbound_nodes" in layer for layer in layers):
        _check_connections(graph, pointer)
    return graph


def _check_io(value: Any, pointer: Pointer) -> Any:
    """Return the inputs or outputs of a model: one history, a list of several, or an object of histories by name.

    Keras writes a single one with or without a list around it; here it is always without.
    """
    if isinstance(value, list) and len(value) == 1 and is_keras_history(value[0]):
        value = value[0]
    histories = histories_by_key(value)
    for key in histories:
        if isinstance(key, str) and not has_pattern(key, ANY_NAME):
            pointer.add_fault(FaultCode.BAD_NAME, f"Expected {ANY_NAME['title']}.", key, ANY_NAME["title"])
    if not histories or len(histories) > MAX_IO or not all(map(is_keras_history, histories.values())):
        expected = "[layer, node, tensor], a list of these, or an object of these by name"
        is_nested = any(not is_keras_history(item) and _contains_histories(item) for item in histories.values())
        reason = "These are nested, which Keras takes and this service does not: write them flat. " if is_nested else ""
        pointer.add_fault(FaultCode.BAD_GRAPH, f"{reason}Expected {expected}.", value, expected)
    return value


def _contains_histories(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return any(is_keras_history(item) or _contains_histories(item) for item in items)


def _check_connections(graph: dict[str, Any], pointer: Pointer) -> None:
    """Report tensors that do not come from an existing call, and calls that wait for their own results."""
    calls = {layer["config"]["name"]: _call_numbers(layer) for layer in graph["layers"]}
    valid = True
    for i, layer in enumerate(graph["layers"]):
        nodes_pointer = pointer / "layers" / i / "inbound_nodes"
        if not layer["inbound_nodes"] and not is_input(layer):
            message = f"The layer {layer['config']['name']!r} is connected to nothing."
            nodes_pointer.add_fault(FaultCode.BAD_GRAPH, message)
        for j, node in enumerate(layer["inbound_nodes"]):
            for history in histories_in([node["args"], node["kwargs"]]):
                valid = _check_history(history, calls, nodes_pointer / j) and valid
    for field in ("input_layers", "output_layers"):
        for key, history in histories_by_key(graph[field]).items():
            history_pointer = pointer / field if key is None else pointer / field / key
            valid = (not is_keras_history(history) or _check_history(history, calls, history_pointer)) and valid
    if valid and (cycle := _cycle(graph["layers"])):
        message = f"These layers wait for each other's results: {listed(sorted(cycle))}."
        (pointer / "layers").add_fault(FaultCode.BAD_GRAPH, message)


def _call_numbers(layer: dict[str, Any]) -> range:
    """Return the numbers of a layer's calls. An input has one, although nothing calls it."""
    first = first_node(layer["class_name"])
    return range(first, first + (len(layer["inbound_nodes"]) or int(is_input(layer))))


def first_node(class_name: str) -> int:
    """Return the number of a layer's first call: Keras counts a functional model's own graph as call 0."""
    return 1 if class_name == "Functional" else 0


def _check_history(history: Any, calls: dict[str, range], pointer: Pointer) -> bool:
    """Report a history that does not lead to one of the calls. Return whether it leads to one."""
    if not is_keras_history(history):
        pointer.add_fault(FaultCode.BAD_GRAPH, "Expected [layer, node, tensor].", history, "[layer, node, tensor]")
        return False
    name, node, _ = history
    if name not in calls:
        pointer.add_fault(
            FaultCode.BAD_GRAPH,
            f"There is no layer {quoted(name)}." + did_you_mean(name, calls),
            history,
            "the name of a layer",
        )
        return False
    if node not in calls[name]:
        numbers = listed(list(map(str, calls[name])))
        known = f"its nodes are {numbers}" if calls[name] else "it is never called"
        message = f"The layer {quoted(name)} has no node {node}; {known}."
        pointer.add_fault(FaultCode.BAD_GRAPH, message, history)
        return False
    return True


def _cycle(layers: list[dict[str, Any]]) -> set[str]:
    """Return the names of layers whose calls wait for each other's results; empty if there are none."""
    needs = {
        (layer["config"]["name"], j): {(name, node) for name, node, _ in histories_in([call["args"], call["kwargs"]])}
        for layer in layers
        for j, call in enumerate(layer["inbound_nodes"], start=first_node(layer["class_name"]))
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return {name for name, _ in error.args[1]}
    return set()
