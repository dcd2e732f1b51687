"""Operations on tensors, which Keras 2 wrote as layers of their own, as layers that do exactly the same.

`x / 127.5` became a TFOpLambda with the function "math.truediv" (a TensorFlowOpLayer with the op "RealDiv" before
TensorFlow 2.4), and a slice a SlicingOpLambda. An operation passes no mask on and most layers do, so nothing is
translated in a model that makes masks. What has no layer is left as it is, for the look-up of its class to report.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from fitqueue.spec.findings import NoticeCode, Pointer, quoted
from fitqueue.spec.keras_objects.legacy.histories import is_call_entry, is_history
from fitqueue.spec.keras_objects.legacy.known_shapes import Shape, known_shapes
from fitqueue.spec.keras_objects.legacy.operation_layers import SLICE, Operation, find_layer, layer_in_place_of
from fitqueue.spec.keras_objects.legacy.slices import advice_on_slice

OPERATIONS: Final = frozenset({"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "TensorFlowOpLayer"})
"""The classes that Keras 2 wrote for operations on tensors."""


def translate_operations(layers: list[Any], pointer: Pointer) -> list[Any]:
    """Return the layers of a functional model in the form of Keras 2, with layers in place of operations."""
    if not any(is_operation(layer) for layer in layers) or makes_masks(layers):
        return layers
    shapes = known_shapes(layers)
    return [_translated(layer, shapes, pointer / i) if is_operation(layer) else layer for i, layer in enumerate(layers)]


def is_operation(layer: Any) -> bool:
    """Return whether a layer is an operation on tensors."""
    return isinstance(layer, dict) and isinstance(layer.get("class_name"), str) and layer["class_name"] in OPERATIONS


def advice_on(layer: Mapping[str, Any]) -> str:
    """Return what to use in place of an operation that is not translated."""
    operation = _read(layer)
    function = operation.function if operation is not None else _function(layer)
    if function in SLICE:
        return advice_on_slice(_slice_spec(layer.get("inbound_nodes")))
    if function is None:
        return "Use a layer that does the same, if there is one."
    layer_name = layer_in_place_of(function)
    if layer_name is None:
        return f"Use a layer that does the same as {quoted(function)}, if there is one."
    return f"Use {layer_name} in place of {quoted(function)}."


def _slice_spec(nodes: Any) -> Any:
    """Return what stands between the brackets of a slice, in a call of Keras 2 or its translation."""
    node = nodes[0] if isinstance(nodes, list) and nodes else None
    keywords = node.get("kwargs") if isinstance(node, dict) else None
    return keywords.get("slice_spec") if isinstance(keywords, dict) else None


def makes_masks(value: Any) -> bool:
    """Return whether a layer, at any depth, makes masks."""
    if isinstance(value, dict):
        makes_mask = value.get("class_name") == "Masking" or bool(value.get("mask_zero"))
        return makes_mask or any(map(makes_masks, value.values()))
    return isinstance(value, list) and any(map(makes_masks, value))


def _translated(layer: dict[str, Any], shapes: Mapping[str, Shape], pointer: Pointer) -> dict[str, Any]:
    operation = _read(layer)
    if operation is None:
        return layer
    first = operation.operands[0]
    found = find_layer(replace(operation, lengths=shapes.get(first[0]) if is_history(first) else None))
    if found is None:
        return layer
    class_name, arguments, histories = found
    config = layer["config"]
    kept = {name: config[name] for name in ("trainable", "dtype") if name in config}
    name = layer.get("name", config.get("name"))
    pointer.add_notice(NoticeCode.TRANSLATED, f"The operation {quoted(operation.function)} is read as {class_name}.")
    nodes = [[[*history, {}] for history in histories]]
    return {"class_name": class_name, "config": {"name": name, **kept, **arguments}, "inbound_nodes": nodes}


def _function(layer: Mapping[str, Any]) -> str | None:
    config = layer.get("config")
    if not isinstance(config, dict):
        return None
    node_def = config.get("node_def")
    function = node_def.get("op") if isinstance(node_def, dict) else config.get("function")
    return function if isinstance(function, str) else None


def _read(layer: Mapping[str, Any]) -> Operation | None:
    """Return the operation that a layer stands for; None if it is not called exactly once, or not in a known form."""
    function, nodes = _function(layer), layer.get("inbound_nodes")
    if function is None or not isinstance(nodes, list) or len(nodes) != 1 or not isinstance(nodes[0], list):
        return None
    entries = [nodes[0]] if is_call_entry(nodes[0]) or _is_constant(nodes[0]) else nodes[0]
    if not entries or not all(is_call_entry(entry) or _is_constant(entry) for entry in entries):
        return None
    operands = [entry[2] if _is_constant(entry) else entry[:3] for entry in entries]
    if layer["class_name"] == "TensorFlowOpLayer":
        return _with_constants(function, operands, layer["config"].get("constants"))
    keywords = entries[0][3] if len(entries[0]) > 3 else {}
    keywords = {name: value for name, value in keywords.items() if value is not None}
    for second in ("x", "y", "bias"):
        if second in keywords:
            operands.append(keywords.pop(second))
    return Operation(function, operands, keywords)


def _is_constant(entry: Any) -> bool:
    """Return whether an entry of a call holds a constant in place of its first tensor."""
    return (
        isinstance(entry, list)
        and len(entry) == 4
        and entry[:2] == ["_CONSTANT_VALUE", -1]
        and isinstance(entry[3], dict)
    )


def _with_constants(function: str, operands: list[Any], constants: Any) -> Operation | None:
    """Return a TensorFlowOpLayer's operation with its constants among the operands, each at its index."""
    if not isinstance(constants, dict):
        return None
    count = len(operands) + len(constants)
    if not constants.keys() <= set(map(str, range(count))):
        return None
    tensors = iter(operands)
    ordered = [constants[str(i)] if str(i) in constants else next(tensors) for i in range(count)]
    if function == "Reshape" and count == 2:
        return Operation(function, ordered[:1], {"shape": ordered[1]})
    if function == "ConcatV2":
        return Operation(function, ordered[:-1], {"axis": ordered[-1]})
    return Operation(function, ordered, {})
