"""The graph of a functional model as Keras 2 wrote it, in the form of Keras 3.

Keras 2 wrote a call as `[[layer, node, tensor, keywords], …]`, one entry for each tensor of its first argument, and a
tensor among the keywords as `[layer, node, tensor]`. What does not have this form is left as it is, for the check of
the graph to report.
"""

from collections.abc import Mapping
from typing import Any, Final

from fitqueue.spec.findings import NoticeCode, Pointer
from fitqueue.spec.keras_objects.legacy.histories import is_call_entry, is_history
from fitqueue.spec.keras_objects.legacy.keras3_operations import translate_keras3_operations
from fitqueue.spec.keras_objects.legacy.operations import translate_operations

# Their call takes the first tensor as the sequence, and the others as the initial state.
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


def translate_graph(config: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return a functional model's config with its calls, inputs and outputs in the form of Keras 3."""
    if not _has_old_calls(config["layers"]):
        return {**config, "layers": translate_keras3_operations(config["layers"], pointer / "layers")}
    pointer.add_notice(NoticeCode.TRANSLATED, "The calls of the layers have the form of Keras 2 and are translated.")
    layers = translate_operations(config["layers"], pointer / "layers")
    shifts = {_name(layer): _node_shift(layer) for layer in layers if isinstance(layer, dict)}
    io: dict[str, Any] = {
        key: _io_tensors(config[key], shifts) for key in ("input_layers", "output_layers") if key in config
    }
    return {**config, "layers": [_layer(layer, shifts) for layer in layers], **io}


Shifts = Mapping[Any, int]
"""What to add to the node number of a layer's calls, by the layer's name."""


def _has_old_calls(layers: list[Any]) -> bool:
    return any(
        isinstance(node, list)
        for layer in layers
        if isinstance(layer, dict)
        for node in _list_or_empty(layer.get("inbound_nodes"))
    )


def _list_or_empty(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _name(layer: Mapping[str, Any]) -> Any:
    config = layer.get("config")
    name = layer.get("name", config.get("name") if isinstance(config, dict) else None)
    return name if isinstance(name, str) else None


def _node_shift(layer: Mapping[str, Any]) -> int:
    """Return -1 for a Sequential with a known input: Keras 2 counted its own graph as node 0, Keras 3 does not."""
    config = layer.get("config")
    if layer.get("class_name") != "Sequential" or not isinstance(config, dict | list):
        return 0
    layers = config if isinstance(config, list) else _list_or_empty(config.get("layers"))
    first = next(iter(layers), None)
    has_input = isinstance(first, dict) and (
        first.get("class_name") == "InputLayer" or "batch_input_shape" in (first.get("config") or {})
    )
    return -1 if has_input else 0


def _layer(layer: Any, shifts: Shifts) -> Any:
    if not isinstance(layer, dict) or not isinstance(layer.get("inbound_nodes"), list):
        return layer
    class_name = layer.get("class_name")
    is_stateful = isinstance(class_name, str) and class_name in _STATEFUL
    nodes = [_node(node, shifts, is_stateful=is_stateful) for node in layer["inbound_nodes"]]
    return _with_causal_calls({**layer, "inbound_nodes": nodes})


def _with_causal_calls(layer: dict[str, Any]) -> dict[str, Any]:
    """Move `causal` of an attention from the layer to its calls, which have it in Keras 3."""
    config = layer.get("config")
    if layer.get("class_name") not in ("Attention", "AdditiveAttention") or not isinstance(config, dict):
        return layer
    if config.get("causal") not in (True, 1) or not all(isinstance(node, dict) for node in layer["inbound_nodes"]):
        return layer
    nodes = [{**node, "kwargs": {**node["kwargs"], "use_causal_mask": True}} for node in layer["inbound_nodes"]]
    rest = {name: value for name, value in config.items() if name != "causal"}
    return {**layer, "config": rest, "inbound_nodes": nodes}


def _node(node: Any, shifts: Shifts, *, is_stateful: bool) -> Any:
    entries = [node] if is_call_entry(node) else node
    if not isinstance(entries, list) or not entries or not all(is_call_entry(entry) for entry in entries):
        return node
    tensors = [_tensor(entry[:3], shifts) for entry in entries]
    old_keywords = entries[0][3] if len(entries[0]) > 3 else {}
    keywords = {key: _keyword(value, shifts) for key, value in old_keywords.items() if value is not None}
    if len(tensors) > 1 and is_stateful:
        return {"args": tensors[:1], "kwargs": {**keywords, "initial_state": tensors[1:]}}
    return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": keywords}


def _keyword(value: Any, shifts: Shifts) -> Any:
    if is_history(value) and value[0] in shifts:
        return _tensor(value, shifts)
    return [_keyword(item, shifts) for item in value] if isinstance(value, list) else value


def _tensor(history: list[Any], shifts: Shifts) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": _shifted(history, shifts)}}


def _shifted(history: list[Any], shifts: Shifts) -> list[Any]:
    layer, node, tensor = history
    return [layer, max(0, node + shifts.get(layer, 0)), tensor]


def _io_tensors(value: Any, shifts: Shifts) -> Any:
    if is_history(value):
        return _shifted(value, shifts)
    if isinstance(value, list):
        return [_io_tensors(item, shifts) for item in value]
    return {name: _io_tensors(item, shifts) for name, item in value.items()} if isinstance(value, dict) else value
