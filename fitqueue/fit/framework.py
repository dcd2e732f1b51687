"""The Keras that an object comes from: Keras 3, or Keras 2 as `tf_keras` or as `keras` below 3."""

import sys
from types import ModuleType
from typing import Any, Final

_ROOTS: Final = ("keras", "tf_keras")


def framework_of(model: Any) -> ModuleType:
    """Return the module that the class of a model, or one of its base classes, comes from.

    Raises:
        TypeError: it is not a Keras model.
    """
    for cls in type(model).__mro__:
        root = cls.__module__.partition(".")[0]
        if cls.__name__ == "Model" and root in _ROOTS:
            return sys.modules[root]
    raise TypeError(f"Expected a Keras model, received {type(model).__name__!r}: {model!r:.80}")


def is_keras_2(keras: ModuleType) -> bool:
    """Return whether this is Keras 2, by whatever name."""
    return int(str(keras.__version__).partition(".")[0]) < 3


def is_builtin(cls: type) -> bool:
    """Return whether Keras itself defines this class."""
    return cls.__module__.partition(".")[0] in _ROOTS


def floatx_of(keras: ModuleType) -> str:
    """Return the dtype of Keras's floating-point numbers."""
    return str((keras.backend if is_keras_2(keras) else keras.config).floatx())
