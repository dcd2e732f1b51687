"""What Keras cannot build, and why, in words for people."""

import re
from typing import Any, Final, NoReturn

import keras
import tensorflow as tf

from fitqueue.text import strip_ansi
from workers.keras_tools.messages import without_graph_words

_PREAMBLE: Final = re.compile(r"^.*Exception encountered(?: when calling [^\n]*)?[.:]\s*", re.DOTALL)
_ARGUMENTS: Final = re.compile(r"\s*Arguments received by .*", re.DOTALL)


class ModelBuildError(Exception):
    """Keras cannot build what the job asks for.

    Attributes:
        pointer: a JSON pointer into the stored job, to what cannot be built.
        message: why, for people.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


def raise_build_error(pointer: str, description: str, error: Exception) -> NoReturn:
    """Raise a ModelBuildError in place of an error from Keras, or the error itself if the machine lacks memory.

    Args:
        description: what was being built, to begin the message with; may be empty.
    """
    if isinstance(error, ModelBuildError | MemoryError | tf.errors.ResourceExhaustedError):
        raise error
    message = keras_message(error)
    raise ModelBuildError(pointer, f"{description}: {message}" if description else message) from error


def keras_message(error: Exception) -> str:
    """Return Keras's own message without the text that its layers put around it."""
    return without_graph_words(_ARGUMENTS.sub("", _PREAMBLE.sub("", strip_ansi(str(error)))))


def describe_layer(index: int, layer: keras.layers.Layer, input_shape: Any) -> str:
    """Return a description of a layer and of its input for a message; the shape is None if it is unknown."""
    description = f"layer {index}, {type(layer).__name__} {layer.name!r}"
    return description if input_shape is None else f"{description} on input of shape {_shape_text(input_shape)}"


def _shape_text(shape: Any) -> str:
    as_lists = [list(inner) for inner in shape] if isinstance(shape, list) else list(shape)
    return str(as_lists).replace("None", "null")
