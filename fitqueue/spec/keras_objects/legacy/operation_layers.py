"""Which layer of Keras does exactly the same as an operation of TensorFlow."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.spec.keras_objects.legacy.histories import is_history
from fitqueue.spec.keras_objects.legacy.slices import Lengths, find_cropping


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        function: its name in TensorFlow, or that of its op.
        operands: what it is applied to: histories, numbers, and lists of numbers.
        keywords: its other arguments, without those that are null.
        lengths: the lengths of the axes of the first operand, if they are known.
    """

    function: str
    operands: list[Any]
    keywords: dict[str, Any]
    lengths: Lengths | None = None


Layer = tuple[str, dict[str, Any], list[Any]]
"""The class of a layer, its arguments, and the histories of the tensors that it is called on."""


_ADD: Final = frozenset({"__operators__.add", "math.add", "nn.bias_add", "Add", "AddV2", "BiasAdd"})
_SUBTRACT: Final = frozenset({"math.subtract", "Sub"})
_MULTIPLY: Final = frozenset({"math.multiply", "math.scalar_mul", "compat.v1.math.scalar_mul", "Mul"})
_DIVIDE: Final = frozenset({"math.truediv", "math.divide", "RealDiv"})
_NEGATE: Final = frozenset({"math.negative", "Neg"})
_RESHAPE: Final = frozenset({"reshape", "Reshape"})
_CONCATENATE: Final = frozenset({"concat", "ConcatV2"})
SLICE: Final = frozenset({"__operators__.getitem"})
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
    "Cropping1D, Cropping2D or Cropping3D": frozenset({"slice", "strided_slice", "StridedSlice", "split", "unstack"}),
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


def layer_in_place_of(function: str) -> str | None:
    """Return the name of the layer to use in place of an operation, for a message; None if there is none."""
    return next((name for name, functions in _ADVICE.items() if function in functions), None)


def find_layer(operation: Operation) -> Layer | None:
    """Return the layer that does exactly the same as an operation; None if there is none."""
    function = operation.function
    if function in _RESHAPE:
        return _reshape(operation)
    if function in _CONCATENATE:
        return _concatenate(operation)
    if function in SLICE:
        return _crop(operation)
    if operation.keywords.get("data_format", "NHWC") != "NHWC" or operation.keywords.keys() - {"data_format"}:
        return None
    activation = next((name for name, functions in _ACTIVATIONS.items() if function in functions), None)
    if len(operation.operands) == 1 and is_history(operation.operands[0]):
        if activation is not None:
            return "Activation", {"activation": activation}, operation.operands
        return ("Rescaling", {"scale": -1.0}, operation.operands) if function in _NEGATE else None
    return _arithmetic(operation) if len(operation.operands) == 2 else None


def _arithmetic(operation: Operation) -> Layer | None:
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
    if function in _DIVIDE and all(map(_has_reciprocal, _numbers(constant))):
        return {"scale": _mapped(constant, lambda number: 1 / number)}
    return None


def _has_reciprocal(number: float) -> bool:
    return number != 0 and math.isfinite(1 / number)


def _reshape(operation: Operation) -> Layer | None:
    shape = operation.keywords.get("shape")
    if len(operation.operands) != 1 or not is_history(operation.operands[0]) or operation.keywords.keys() != {"shape"}:
        return None
    if not isinstance(shape, list) or not all(type(length) is int for length in shape) or shape[:1] != [-1]:
        return None
    return "Reshape", {"target_shape": shape[1:]}, operation.operands


def _concatenate(operation: Operation) -> Layer | None:
    axis = operation.keywords.get("axis")
    if not all(map(is_history, operation.operands)) or len(operation.operands) < 2:
        return None
    if operation.keywords.keys() != {"axis"} or type(axis) is not int or axis == 0:
        return None
    return "Concatenate", {"axis": axis}, operation.operands


def _crop(operation: Operation) -> Layer | None:
    if len(operation.operands) != 1:
        return None
    found = find_cropping(operation.keywords.get("slice_spec"), operation.lengths)
    return (*found, operation.operands) if found is not None else None


def _numbers(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _is_numeric(value: Any) -> bool:
    """Return whether an operand is a number or a list of numbers."""
    numbers = _numbers(value)
    return bool(numbers) and all(isinstance(item, int | float) and not isinstance(item, bool) for item in numbers)


def _mapped(value: Any, function: Callable[[float], float]) -> Any:
    return [function(item) for item in value] if isinstance(value, list) else function(value)
