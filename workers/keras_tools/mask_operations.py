"""Create the operations on masks in a functional model."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from keras.src.ops import core, numpy
from keras.src.ops.operation import Operation

from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.objects import call_class

_CLASSES: Final[Mapping[str, Callable[..., Operation]]] = {
    "NotEqual": numpy.NotEqual,
    "LogicalAnd": numpy.LogicalAnd,
    "LogicalOr": numpy.LogicalOr,
    "Any": numpy.Any,
    "All": numpy.All,
    "ExpandDims": numpy.ExpandDims,
    "Concatenate": numpy.Concatenate,
    "OnesLike": numpy.OnesLike,
    "ZerosLike": numpy.ZerosLike,
    "ConvertToTensor": core.ConvertToTensor,
}


def build_operation(class_name: str, config: Mapping[str, Any], pointer: str) -> Operation:
    """Return an operation, which is called like a layer.

    Raises:
        ModelBuildError: there is no such operation, or Keras cannot create it.
    """
    if class_name not in _CLASSES:
        raise ModelBuildError(pointer, f"{class_name!r} is not one of the operations of this service.")
    return call_class(_CLASSES[class_name], config, pointer, class_name)
