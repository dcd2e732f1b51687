"""What a layer computes with beside its outputs, found by tracing one call of it: nothing is computed or allocated.

The trace is a graph of TensorFlow's operations with their shapes. What the backward pass needs of it is decided by the
kind of each operation: a product needs what was multiplied, a sum does not need what was added.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import keras
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

# These give out the memory that they got.
_VIEWS: Final = frozenset({"Reshape", "Identity", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient", "NoOp"})
# The backward pass needs neither what goes into these operations nor what comes out.
_LINEAR: Final = frozenset(
    {
        *_VIEWS,
        *("Add", "AddV2", "AddN", "Sub", "Neg", "BiasAdd", "Cast", "Sum", "Mean", "Transpose", "ConcatV2", "Pack"),
        *("Unpack", "Split", "SplitV", "StridedSlice", "Slice", "Pad", "PadV2", "MirrorPad", "Tile", "BroadcastTo"),
        *("ReverseV2", "TensorListFromTensor", "TensorListStack", "TensorListGetItem", "TensorListSetItem"),
        *("TensorListReserve", "Placeholder", "Const", "Shape", "ResizeBilinear", "ResizeNearestNeighbor", "AvgPool"),
    }
)
# The backward pass needs what these give, and not what goes into them.
_BY_OUTPUT: Final = frozenset({"Relu", "Sigmoid", "Tanh", "Softmax", "Exp", "Sqrt", "Rsqrt", "Elu", "Selu"})
_LOOP_FACTOR: Final = 2
"""A loop keeps more of each round than its gradients need, and copies what it has kept to add to it."""
_WHILE: Final = frozenset({"While", "StatelessWhile"})


@dataclass(frozen=True)
class Traced:
    """What one call of a layer needs, in bytes.

    Attributes:
        kept: what the backward pass needs, the outputs included.
        peak: what is needed at most at a time if nothing is kept.
        largest: the largest single tensor.
    """

    kept: int
    peak: int
    largest: int


def trace(layer: Any, args: Any, kwargs: Any) -> tuple[Traced, Any]:
    """Trace the call of a layer with these arguments, in which KerasTensors stand for inputs.

    Returns:
        What it needs, and its outputs as KerasTensors.
    """
    graph = FuncGraph("trace")
    with graph.as_default():
        arguments = keras.tree.map_structure(_placeholder, (args, kwargs))
        state = [(variable, _variable(variable)) for variable in layer.variables] if hasattr(layer, "variables") else []
        with keras.StatelessScope(state_mapping=state):
            outputs = layer(*arguments[0], **arguments[1])
    given = [*keras.tree.flatten(arguments), *(tensor for _, tensor in state)]
    inputs = {tensor.name for tensor in given if isinstance(tensor, tf.Tensor)}
    specs = keras.tree.map_structure(lambda tensor: keras.KerasTensor(tensor.shape, tensor.dtype.name), outputs)
    return _measure(graph, inputs), specs


def _placeholder(value: Any) -> Any:
    if not isinstance(value, keras.KerasTensor):
        return value
    return tf.compat.v1.placeholder(value.dtype, value.shape)


def _variable(variable: Any) -> tf.Tensor:
    return tf.compat.v1.placeholder(variable.dtype, variable.shape)


def _measure(graph: Any, inputs: set[str]) -> Traced:
    """Return what a graph needs without its inputs: those are what other layers gave, or weights."""
    sizes: dict[str, int] = {}
    sources: dict[str, str] = {}
    kept: dict[str, int] = {}
    last_use: dict[str, int] = {}
    extra = 0
    operations = graph.get_operations()
    for index, operation in enumerate(operations):
        names = [sources.get(tensor.name, tensor.name) for tensor in operation.inputs]
        last_use.update(dict.fromkeys(names, index))
        for tensor in operation.outputs:
            if operation.type in _VIEWS and names:
                sources[tensor.name] = names[0]
            elif tensor.name not in inputs:
                sizes[tensor.name] = tensor_bytes(tensor.shape, tensor.dtype)
        if operation.type in _WHILE:
            extra += _loop_bytes(graph, operation)
        needed = _needed(operation, names)
        kept.update({name: sizes[name] for name in needed if name in sizes})
    peak = _peak(operations, sizes, last_use)
    return Traced(sum(kept.values()) + extra, peak + extra // 4, max(sizes.values(), default=0))


def _needed(operation: Any, names: list[str]) -> Iterable[str]:
    """Return the tensors that the backward pass of an operation needs."""
    if operation.type in _BY_OUTPUT:
        return [tensor.name for tensor in operation.outputs]
    return () if operation.type in _LINEAR else names


def _peak(operations: Any, sizes: dict[str, int], last_use: dict[str, int]) -> int:
    """Return the most bytes that live at a time, if each tensor goes after its last use."""
    ending: dict[int, int] = {}
    for name, index in last_use.items():
        ending[index] = ending.get(index, 0) + sizes.get(name, 0)
    live = peak = 0
    for index, operation in enumerate(operations):
        live += sum(sizes.get(tensor.name, 0) for tensor in operation.outputs)
        peak = max(peak, live)
        live -= ending.get(index, 0)
    return peak


def _loop_bytes(graph: Any, operation: Any) -> int:
    """Return what all rounds of a loop keep for the backward pass."""
    body = graph._get_function(operation.get_attr("body").name)
    inner = getattr(body, "graph", None)
    if inner is None:
        return 0
    inputs = {tensor.name for tensor in inner.inputs}
    return _LOOP_FACTOR * _rounds(operation) * _measure(inner, inputs).kept


def _rounds(operation: Any) -> int:
    """Return how many rounds a loop has at most: as many as the lists that it reads or fills have items."""
    return max((_items(tensor.op) for tensor in operation.inputs), default=1)


def _items(source: Any) -> int:
    if source.type == "TensorListFromTensor":
        return int(source.inputs[0].shape[0] or 1)
    if source.type == "TensorListReserve":
        value = tf.get_static_value(source.inputs[1])
        return 1 if value is None else max(1, int(value))
    return 1


def tensor_bytes(shape: Any, dtype: Any) -> int:
    """Return the bytes of a tensor, with 1 for each length that is unknown."""
    if getattr(shape, "rank", 0) is None or dtype.size is None:
        return 0
    return int(math.prod(length or 1 for length in tuple(shape)) * max(1, dtype.size))
