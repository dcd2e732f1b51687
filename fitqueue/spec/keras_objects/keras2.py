"""The graph of a functional model as Keras 2 wrote it, in the form of Keras 3.

Keras 2 wrote a call as `[[layer, node, tensor, keywords], …]`, one entry for each tensor of its first argument, and a
tensor among the keywords as `[layer, node, tensor]`. Pure functions: what is not in that form stays as it is, for the
check of the graph to name it.
"""

from collections.abc import Mapping
from typing import Any, Final

# Their call takes the first tensor as the sequence and the others as the state to begin with.
_STATEFUL: Final = frozenset(
    {
        "LSTM",
        "GRU",
        "SimpleRNN",
        "RNN",
        "Bidirectional",
        "ConvLSTM1D",
        "ConvLSTM2D",
        "ConvLSTM3D",
        "CuDNNLSTM",
        "CuDNNGRU",
    }
)


def is_old_graph(config: Mapping[str, Any]) -> bool:
    """Whether one of the layers has its calls in the form of Keras 2."""
    layers = [layer for layer in config.get("layers", []) if isinstance(layer, dict)]
    return any(isinstance(node, list) for layer in layers for node in _list(layer.get("inbound_nodes")))


def translate_graph(config: dict[str, Any]) -> dict[str, Any]:
    """The model's config with its calls, and the places where it begins and ends, as Keras 3 has them."""
    shifts = {_name(layer): _shift(layer) for layer in config["layers"] if isinstance(layer, dict)}
    ends: dict[str, Any] = {
        key: _ends(config[key], shifts) for key in ("input_layers", "output_layers") if key in config
    }
    return {**config, "layers": [_layer(layer, shifts) for layer in config["layers"]], **ends}


Shifts = Mapping[Any, int]
"""What to add to the number of a layer's call, by the layer's name."""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _name(layer: Mapping[str, Any]) -> Any:
    config = layer.get("config")
    name = layer.get("name", config.get("name") if isinstance(config, dict) else None)
    return name if isinstance(name, str) else None


def _shift(layer: Mapping[str, Any]) -> int:
    """To Keras 2 the graph of a Sequential that knows its input was call 0 of it; to Keras 3 it is none."""
    config = layer.get("config")
    if layer.get("class_name") != "Sequential" or not isinstance(config, dict):
        return 0
    first = next(iter(_list(config.get("layers"))), None)
    has_input = isinstance(first, dict) and (
        first.get("class_name") == "InputLayer" or "batch_input_shape" in (first.get("config") or {})
    )
    return -1 if has_input else 0


def _layer(layer: Any, shifts: Shifts) -> Any:
    if not isinstance(layer, dict) or not isinstance(layer.get("inbound_nodes"), list):
        return layer
    nodes = [_node(node, layer.get("class_name"), shifts) for node in layer["inbound_nodes"]]
    return {**layer, "inbound_nodes": nodes}


def _node(node: Any, class_name: Any, shifts: Shifts) -> Any:
    entries = [node] if _is_entry(node) else node
    if not isinstance(entries, list) or not entries or not all(_is_entry(entry) for entry in entries):
        return node
    tensors = [_tensor(entry[:3], shifts) for entry in entries]
    given = entries[0][3] if len(entries[0]) > 3 else {}
    keywords = {key: _keyword(value, shifts) for key, value in given.items() if value is not None}
    if len(tensors) > 1 and class_name in _STATEFUL:
        return {"args": tensors[:1], "kwargs": {**keywords, "initial_state": tensors[1:]}}
    return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": keywords}


def _is_entry(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and _is_place(value[:3])
        and (len(value) == 3 or isinstance(value[3], dict))
    )


def _is_place(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(type(number) is int for number in value[1:])
    )


def _keyword(value: Any, shifts: Shifts) -> Any:
    if _is_place(value) and value[0] in shifts:
        return _tensor(value, shifts)
    return [_keyword(item, shifts) for item in value] if isinstance(value, list) else value


def _tensor(place: list[Any], shifts: Shifts) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": _shifted(place, shifts)}}


def _shifted(place: list[Any], shifts: Shifts) -> list[Any]:
    layer, node, tensor = place
    return [layer, max(0, node + shifts.get(layer, 0)), tensor]


def _ends(value: Any, shifts: Shifts) -> Any:
    if _is_place(value):
        return _shifted(value, shifts)
    if isinstance(value, list):
        return [_ends(one, shifts) for one in value]
    return {name: _ends(one, shifts) for name, one in value.items()} if isinstance(value, dict) else value
