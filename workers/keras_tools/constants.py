"""Compare the arrays of Constant initializers with the shapes of the weights that they are for.

Keras multiplies the array by ones of the weight's shape, so it is broadcast. A model that is built for its shapes alone
does not create its weights, and Keras then does not compare anything.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from workers.keras_tools.errors import ModelBuildError

Pointers = Mapping[int, str]
"""Where the layers are that the job itself names, by their `id`."""


def check_constants(model: keras.Model, pointers: Pointers) -> None:
    """Check that the arrays of all initializers have the shapes of their weights.

    Raises:
        ModelBuildError: one has not; the pointer leads to it, or to its layer.
    """
    _check_layer(model, "/model", pointers, set())


def _check_layer(layer: Any, pointer: str, pointers: Pointers, seen: set[int]) -> None:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    pointer = pointers.get(id(layer), pointer)
    for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
        constant = array_of(variable._initializer)
        if constant is not None and not _is_broadcast(constant.shape, tuple(variable.shape)):
            raise ModelBuildError(
                pointer + _argument(layer, variable._initializer, is_sent=id(layer) in pointers),
                f"The array of the Constant has the shape {list(constant.shape)}, but the weight {variable.name!r} of "
                f"the layer {layer.name!r} has the shape {list(variable.shape)}.",
            )
    for inner in layer._layers:
        _check_layer(inner, pointer, pointers, seen)


def array_of(initializer: Any) -> np.ndarray[Any, Any] | None:
    """Return the array of an initializer; None if it is not a Constant with one."""
    value = initializer.value if isinstance(initializer, keras.initializers.Constant) else None
    return value if isinstance(value, np.ndarray) else None


def _argument(layer: Any, initializer: Any, *, is_sent: bool) -> str:
    name = next((name for name, value in vars(layer).items() if value is initializer), None)
    return f"/config/{name}/config/value" if is_sent and name is not None else ""


def _is_broadcast(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
