"""Operations on tensors, which Keras 2 wrote as layers of their own, as layers that do exactly the same.

`x / 127.5` became a TFOpLambda with the function "math.truediv" (a TensorFlowOpLayer with the op "RealDiv" before
TensorFlow 2.4), and a slice a SlicingOpLambda. An operation passes no mask on and most layers do, so nothing is
translated in a model that makes masks. What has no layer is left as it is, for the look-up of its class to report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.spec.findings import NoticeCode, Pointer, quoted
from fitqueue.spec.keras_objects.legacy.histories import is_call_entry, is_history

OPERATIONS: Final = frozenset({"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "TensorFlowOpLayer"})
"""The classes that Keras 2 wrote for operations on tensors."""


@dataclass(frozen=True)
class _Operation:
    """One operation.

    Attributes:
        function: its name in TensorFlow, or that of its op.
        operands: what it is applied to: histories, numbers, and lists of numbers.
        keywords: its other arguments, without those that are null.
    """

    function: str
    operands: list[Any]
    keywords: dict[str, Any]


_Layer = tuple[str, dict[str, Any], list[Any]]
"""The class of a layer, its arguments, and the histories of the tensors that it is called on."""


def translate_operations(layers: list[Any], pointer: Pointer) -> list[Any]:
    """Return the layers of a functional model in the form of Keras 2, with layers in place of operations."""
    if not any(is_operation(layer) for layer in layers) or _makes_masks(layers):
        return layers
    return [_translated(layer, pointer / i) if is_operation(layer) else layer for i, layer in enumerate(layers)]


def is_operation(layer: Any) -> bool:
    """Return whether a layer is an operation on tensors."""
    return isinstance(layer, dict) and isinstance(layer.get("class_name"), str) and layer["class_name"] in OPERATIONS


def advice_on(layer: Mapping[str, Any]) -> str:
    """Return what to use in place of an operation that is not translated."""
    operation = _read(layer)
    function = operation.function if operation is not None else _function(layer)
    if function is None:
        return "Use a layer that does the same, if there is one."
    layer_name = next((name for name, functions in _ADVICE.items() if function in functions), None)
    if layer_name is None:
        return f"Use a layer that does the same as {quoted(function)}, if there is one."
    return f"Use {layer_name} in place of {quoted(function)}."


def _makes_masks(value: Any) -> bool:
    if isinstance(value, dict):
        makes_mask = value.get("class_name") == "Masking" or bool(value.get("mask_zero"))
        return makes_mask or any(map(_makes_masks, value.values()))
    return isinstance(value, list) and any(map(_makes_masks, value))


def _translated(layer: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    operation = _read(layer)
    found = _layer_for(operation) if operation is not None else None
    if operation is None or found is None:
        return layer
    class_name, arguments, histories = found
    config = layer["config"]
    kept = {name: config[name] for name in ("trainable", "dtype") if name in config}
    name = layer.get("name", config.get("name"))
    pointer.add_notice(NoticeCode.TRANSLATED, f"The operation {quoted(operation.function)} is read as {class_name}.")
    nodes = [[[*history, {}] for history in histories]]
    return {"class_name": class_name, "config": {"name": name, **kept, **arguments}, "inbound_nodes": nodes}


# --- Reading an operation ------------------------------------------------------------------------------------------


def _function(layer: Mapping[str, Any]) -> str | None:
    config = layer.get("config")
    if not isinstance(config, dict):
        return None
    node_def = config.get("node_def")
    function = node_def.get("op") if isinstance(node_def, dict) else config.get("function")
    return function if isinstance(function, str) else None


def _read(layer: Mapping[str, Any]) -> _Operation | None:
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
    return _Operation(function, operands, keywords)


def _is_constant(entry: Any) -> bool:
    """Return whether an entry of a call holds a constant in place of its first tensor."""
    return (
        isinstance(entry, list)
        and len(entry) == 4
        and entry[:2] == ["_CONSTANT_VALUE", -1]
        and isinstance(entry[3], dict)
    )


def _with_constants(function: str, operands: list[Any], constants: Any) -> _Operation | None:
    """Return a TensorFlowOpLayer's operation with its constants among the operands, each at its index."""
    if not isinstance(constants, dict):
        return None
    count = len(operands) + len(constants)
    if not constants.keys() <= set(map(str, range(count))):
        return None
    tensors = iter(operands)
    ordered = [constants[str(i)] if str(i) in constants else next(tensors) for i in range(count)]
    if function == "Reshape" and count == 2:
        return _Operation(function, ordered[:1], {"shape": ordered[1]})
    if function == "ConcatV2":
        return _Operation(function, ordered[:-1], {"axis": ordered[-1]})
    return _Operation(function, ordered, {})


# --- Finding the layer ---------------------------------------------------------------------------------------------

_ADD: Final = frozenset({"__operators__.add", "math.add", "nn.bias_add", "Add", "AddV2", "BiasAdd"})
_SUBTRACT: Final = frozenset({"math.subtract", "Sub"})
_MULTIPLY: Final = frozenset({"math.multiply", "math.scalar_mul", "compat.v1.math.scalar_mul", "Mul"})
_DIVIDE: Final = frozenset({"math.truediv", "math.divide", "RealDiv"})
_NEGATE: Final = frozenset({"math.negative", "Neg"})
_RESHAPE: Final = frozenset({"reshape", "Reshape"})
_CONCATENATE: Final = frozenset({"concat", "ConcatV2"})
_SLICE: Final = frozenset({"__operators__.getitem"})
_ACTIVATIONS: Final = {
    "relu": frozenset({"nn.relu", "Relu"}),
    "relu6": frozenset({"nn.relu6", "Relu6"}),
    "sigmoid": frozenset({"math.sigmoid", "nn.sigmoid", "Sigmoid"}),
    "softmax": frozenset({"nn.softmax", "Softmax"}),
    "softplus": frozenset({"math.softplus", "nn.softplus", "Softplus"}),
    "tanh": frozenset({"math.tanh", "nn.tanh", "Tanh"}),
    "elu": frozenset({"nn.elu", "Elu"}),
    "selu": frozenset({"nn.selu", "Selu"}),
    "exponential": frozenset({"math.exp", "Exp"}),
}
_ADVICE: Final[Mapping[str, frozenset[str]]] = {
    "Rescaling for a constant, or Add for tensors,": _ADD,
    "Rescaling for a constant, or Subtract for tensors,": _SUBTRACT,
    "Rescaling for a constant, or Multiply for tensors,": _MULTIPLY,
    "Rescaling with the reciprocal of a constant": _DIVIDE,
    "Rescaling with a scale of -1": _NEGATE,
    "Reshape": _RESHAPE | {"expand_dims", "squeeze", "compat.v1.squeeze", "ExpandDims", "Squeeze"},
    "Concatenate": _CONCATENATE | {"stack", "Pack"},
    "Cropping1D, Cropping2D or Cropping3D": _SLICE | {"slice", "strided_slice", "StridedSlice", "split", "unstack"},
    "Permute": frozenset({"transpose", "compat.v1.transpose", "Transpose"}),
    "Dot": frozenset({"linalg.matmul", "MatMul", "BatchMatMul", "BatchMatMulV2", "einsum"}),
    "RepeatVector": frozenset({"tile", "repeat", "Tile"}),
    "a pooling layer such as GlobalAveragePooling1D": frozenset({"math.reduce_mean", "Mean"}),
    "a pooling layer such as GlobalMaxPooling1D": frozenset({"math.reduce_max", "Max"}),
    "Maximum": frozenset({"math.maximum"}),
    "Minimum": frozenset({"math.minimum"}),
    "Dropout": frozenset({"nn.dropout", "nn.experimental.stateless_dropout"}),
    "Resizing": frozenset({"image.resize", "compat.v1.image.resize"}),
    "UnitNormalization": frozenset({"math.l2_normalize", "nn.l2_normalize"}),
    "CategoryEncoding": frozenset({"one_hot", "OneHot"}),
    "Activation": frozenset(name for names in _ACTIVATIONS.values() for name in names),
}


def _layer_for(operation: _Operation) -> _Layer | None:
    function = operation.function
    if function in _RESHAPE:
        return _reshape(operation)
    if function in _CONCATENATE:
        return _concatenate(operation)
    if function in _SLICE:
        return _crop(operation)
    if operation.keywords.get("data_format", "NHWC") != "NHWC" or operation.keywords.keys() - {"data_format"}:
        return None
    activation = next((name for name, functions in _ACTIVATIONS.items() if function in functions), None)
    if len(operation.operands) == 1 and is_history(operation.operands[0]):
        if activation is not None:
            return "Activation", {"activation": activation}, operation.operands
        return ("Rescaling", {"scale": -1.0}, operation.operands) if function in _NEGATE else None
    return _arithmetic(operation) if len(operation.operands) == 2 else None


def _arithmetic(operation: _Operation) -> _Layer | None:
    """Return the layer for a sum, difference, product or quotient of two operands."""
    function, (first, second) = operation.function, operation.operands
    if is_history(first) and is_history(second):
        by_class = {"Add": _ADD, "Subtract": _SUBTRACT, "Multiply": _MULTIPLY}
        class_name = next((name for name, functions in by_class.items() if function in functions), None)
        return (class_name, {}, [first, second]) if class_name is not None else None
    if is_history(first) and _is_numeric(second):
        arguments = _with_second_constant(function, second)
        return ("Rescaling", arguments, [first]) if arguments is not None else None
    if is_history(second) and _is_numeric(first):
        if function in _SUBTRACT:
            return "Rescaling", {"scale": -1.0, "offset": first}, [second]
        arguments = _with_second_constant(function, first) if function in _ADD | _MULTIPLY else None
        return ("Rescaling", arguments, [second]) if arguments is not None else None
    return None


def _with_second_constant(function: str, constant: Any) -> dict[str, Any] | None:
    """Return the arguments of the Rescaling that applies a constant."""
    if function in _ADD:
        return {"scale": 1.0, "offset": constant}
    if function in _SUBTRACT:
        return {"scale": 1.0, "offset": _mapped(constant, lambda number: -number)}
    if function in _MULTIPLY:
        return {"scale": constant}
    if function in _DIVIDE and constant != 0 and constant != [] and 0 not in _numbers(constant):
        return {"scale": _mapped(constant, lambda number: 1 / number)}
    return None


def _reshape(operation: _Operation) -> _Layer | None:
    shape = operation.keywords.get("shape")
    if len(operation.operands) != 1 or not is_history(operation.operands[0]) or operation.keywords.keys() != {"shape"}:
        return None
    if not isinstance(shape, list) or not all(type(length) is int for length in shape) or shape[:1] != [-1]:
        return None
    return "Reshape", {"target_shape": shape[1:]}, operation.operands


def _concatenate(operation: _Operation) -> _Layer | None:
    axis = operation.keywords.get("axis")
    if not all(map(is_history, operation.operands)) or len(operation.operands) < 2:
        return None
    if operation.keywords.keys() != {"axis"} or type(axis) is not int or axis == 0:
        return None
    return "Concatenate", {"axis": axis}, operation.operands


def _crop(operation: _Operation) -> _Layer | None:
    """Return the cropping layer for a slice that names each axis, keeps the first and the last one whole."""
    spec = operation.keywords.get("slice_spec")
    if len(operation.operands) != 1 or not isinstance(spec, list) or not 3 <= len(spec) <= 5:
        return None
    margins = [_margins(axis) for axis in spec]
    if None in margins or margins[0] != [0, 0] or margins[-1] != [0, 0]:
        return None
    cropping = margins[1] if len(spec) == 3 else margins[1:-1]
    return f"Cropping{len(spec) - 2}D", {"cropping": cropping}, operation.operands


def _margins(axis: Any) -> list[int] | None:
    """Return how much a slice cuts off at the start and at the end of an axis; None if that depends on its length."""
    if not isinstance(axis, dict) or axis.keys() != {"start", "stop", "step"} or axis["step"] not in (None, 1):
        return None
    start, stop = axis["start"] or 0, axis["stop"]
    if type(start) is not int or start < 0 or not (stop is None or (type(stop) is int and stop < 0)):
        return None
    return [start, 0 if stop is None else -stop]


def _numbers(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _is_numeric(value: Any) -> bool:
    """Return whether an operand is a number or a list of numbers."""
    numbers = _numbers(value)
    return bool(numbers) and all(isinstance(item, int | float) and not isinstance(item, bool) for item in numbers)


def _mapped(value: Any, function: Any) -> Any:
    return [function(item) for item in value] if isinstance(value, list) else function(value)
