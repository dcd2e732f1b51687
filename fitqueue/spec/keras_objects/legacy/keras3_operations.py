"""Operations on tensors, which Keras 3 writes among the layers of a functional model, as layers that do the same.

`x * 2 + 1` became a Multiply and an Add of `keras.src.ops.numpy`, called on the tensor and the constant. They are read
as the operations of Keras 2 are.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from fitqueue.spec.findings import NoticeCode, Pointer
from fitqueue.spec.keras_objects.graph import is_keras_history, keras_history
from fitqueue.spec.keras_objects.legacy.operation_layers import Operation, find_layer, layer_in_place_of
from fitqueue.spec.keras_objects.legacy.operations import makes_masks
from fitqueue.spec.keras_objects.legacy.slices import advice_on_slice
from fitqueue.spec.keras_objects.legacy.wrapped_values import unwrapped
from fitqueue.spec.keras_objects.mask_operations import find_operation

_MODULES: Final = re.compile(r"keras(\.src)?\.ops(\.\w+)*")
_GET_ITEM: Final = "GetItem"
_FUNCTIONS: Final[Mapping[str, str]] = {
    "Add": "math.add",
    "Subtract": "math.subtract",
    "Multiply": "math.multiply",
    "Divide": "math.truediv",
    "TrueDivide": "math.truediv",
    "Negative": "math.negative",
    "Reshape": "reshape",
    "Concatenate": "concat",
    "GetItem": "__operators__.getitem",
    "Relu": "nn.relu",
    "Relu6": "nn.relu6",
    "Sigmoid": "nn.sigmoid",
    "Softmax": "nn.softmax",
    "Softplus": "nn.softplus",
    "Tanh": "nn.tanh",
    "Elu": "nn.elu",
    "Selu": "nn.selu",
    "Exp": "math.exp",
    "ExpandDims": "expand_dims",
    "Squeeze": "squeeze",
    "Stack": "stack",
    "Split": "split",
    "Transpose": "transpose",
    "Matmul": "linalg.matmul",
    "Dot": "linalg.matmul",
    "Einsum": "einsum",
    "Tile": "tile",
    "Repeat": "repeat",
    "Mean": "math.reduce_mean",
    "Max": "math.reduce_max",
    "Maximum": "math.maximum",
    "Minimum": "math.minimum",
    "OneHot": "one_hot",
    "Normalize": "math.l2_normalize",
    "Resize": "image.resize",
}
"""The functions of TensorFlow that do the same as the classes of `keras.ops`."""

# What the default of an argument is in the config of an operation.
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {"Softmax": {"axis": -1}, "Elu": {"alpha": 1.0}}


def is_keras3_operation(layer: Any) -> bool:
    """Return whether an item of a model's `layers` is an operation of Keras 3."""
    if not isinstance(layer, dict) or not isinstance(layer.get("class_name"), str):
        return False
    return isinstance(layer.get("module"), str) and _MODULES.fullmatch(layer["module"]) is not None


def translate_keras3_operations(layers: list[Any], pointer: Pointer) -> list[Any]:
    """Return the layers of a functional model with layers in place of operations, but for those that compute masks."""
    if not any(map(_is_translated, layers)) or makes_masks(layers):
        return layers
    return [_translated(layer, pointer / i) if _is_translated(layer) else layer for i, layer in enumerate(layers)]


def advice_on_keras3(layer: Mapping[str, Any]) -> str:
    """Return what to use in place of an operation that is not translated."""
    class_name = layer["class_name"]
    if class_name == _GET_ITEM:
        arguments = _arguments(layer)
        return advice_on_slice(arguments[1] if arguments is not None and len(arguments) == 2 else None)
    layer_name = layer_in_place_of(_FUNCTIONS.get(class_name, class_name))
    if layer_name is None:
        return f"Use a layer that does the same as keras.ops' {class_name}, if there is one."
    return f"Use the layer {layer_name} in place of keras.ops' {class_name}."


def _is_translated(layer: Any) -> bool:
    return is_keras3_operation(layer) and find_operation(layer) is None


def _translated(layer: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    operation = _read(layer, pointer)
    found = find_layer(operation) if operation is not None else None
    if found is None:
        return layer
    class_name, arguments, histories = found
    pointer.add_notice(NoticeCode.TRANSLATED, f"The operation {layer['class_name']} is read as the layer {class_name}.")
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": history}} for history in histories]
    name = layer.get("name", layer["config"].get("name"))
    return {
        "class_name": class_name,
        "config": {"name": name, **arguments},
        "inbound_nodes": [{"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}],
    }


def _read(layer: dict[str, Any], pointer: Pointer) -> Operation | None:
    """Return the operation that an item of `layers` is; None if it is not called exactly once in the usual form."""
    class_name, config = layer["class_name"], layer.get("config")
    function, arguments = _FUNCTIONS.get(class_name), _arguments(layer)
    if function is None or not isinstance(config, dict) or not arguments or not all(map(_is_float, arguments)):
        return None
    defaults = _DEFAULTS.get(class_name, {})
    keywords = {
        name: unwrapped(value, pointer)[0]
        for name, value in config.items()
        if name != "name" and (name not in defaults or value != defaults[name])
    }
    operands = [_operand(argument, pointer) for argument in arguments]
    if class_name == _GET_ITEM and len(operands) == 2:
        lengths = _lengths(arguments[0])
        return Operation(function, operands[:1], {**keywords, "slice_spec": arguments[1]}, lengths)
    if class_name == "Reshape" and "newshape" in keywords:
        keywords["shape"] = keywords.pop("newshape")
    return Operation(function, operands, keywords)


def _arguments(layer: Mapping[str, Any]) -> list[Any] | None:
    """Return the arguments of the only call, with a plain list in place of a tuple; None if it has others."""
    nodes = layer.get("inbound_nodes")
    node = nodes[0] if isinstance(nodes, list) and len(nodes) == 1 else None
    if not isinstance(node, dict) or not isinstance(node.get("args"), list) or node.get("kwargs"):
        return None
    return [
        argument["items"] if isinstance(argument, dict) and argument.get("class_name") == "__tuple__" else argument
        for argument in node["args"]
        if argument is not None
    ]


def _operand(argument: Any, pointer: Pointer) -> Any:
    history = keras_history(argument)
    return history if is_keras_history(history) else unwrapped(argument, pointer)[0]


def _is_float(argument: Any) -> bool:
    """Return whether an argument is not a tensor of another dtype than that of a layer's result."""
    return keras_history(argument) is None or argument["config"].get("dtype", "float32") == "float32"


def _lengths(tensor: Any) -> list[int | None] | None:
    """Return the lengths of the axes that Keras wrote beside a tensor."""
    shape = tensor["config"].get("shape") if keras_history(tensor) is not None else None
    is_shape = isinstance(shape, list) and all(length is None or type(length) is int for length in shape)
    return shape if is_shape else None
