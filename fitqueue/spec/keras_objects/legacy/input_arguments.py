"""The shape of a model's input, which Keras 2 took as an argument of the first layer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.spec.findings import NoticeCode, Pointer
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.legacy.arguments import current_arguments, is_number
from fitqueue.spec.keras_objects.legacy.names import current_class
from fitqueue.spec.keras_objects.legacy.rules import EMBEDDINGS, RECURRENT

AXIS_SCHEMA: Final = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 2**31 - 1}, {"type": "null"}]}
"""The schema of the length of one axis; null: any length."""

_INPUT_CLASSES: Final = ("InputLayer", "Input")
_ARGUMENTS: Final = ("batch_input_shape", "input_shape", "input_dim", "input_length", "batch_size")


@dataclass(frozen=True)
class InputArgument:
    """An argument for an InputLayer, taken from the first layer.

    Attributes:
        name: the argument of the InputLayer.
        sent_as: the first layer's argument that held the value. If several arguments held one axis each, their names;
            `value` is then the list of their values.
    """

    name: str
    sent_as: str | tuple[str, ...]
    value: Any


def take_input_arguments(layer: Any, pointer: Pointer) -> tuple[Any, list[InputArgument]]:
    """Split the first layer of a Sequential into the layer itself and the arguments of an InputLayer in front of it.

    The list is empty if the layer does not give the shape of its input in the form of Keras 2: by `input_shape`,
    `input_dim`, `batch_input_shape`, or, on embeddings and recurrent layers, `input_length`, each with or without
    `batch_size`.
    """
    class_name = current_class(layer.get("class_name")) if isinstance(layer, dict) else None
    if class_name is None or class_name in _INPUT_CLASSES or not isinstance(layer.get("config"), dict):
        return layer, []
    config, values = _split(layer["config"], _arguments_for(class_name))
    shape = _shape(class_name, values)
    if shape is None:
        return layer, []
    for name in values:
        (pointer / "config" / name).add_notice(NoticeCode.TRANSLATED, f"{name!r} is read as an InputLayer in front.")
    layer_alone = {**layer, "config": config}
    batch_size = values.get("batch_size")
    if batch_size is None or shape.name == "batch_shape":
        return layer_alone, [shape]
    return layer_alone, [shape, InputArgument("batch_size", "batch_size", batch_size)]


def _arguments_for(class_name: str) -> tuple[str, ...]:
    """Return the arguments that describe the input and not the layer: an Embedding's `input_dim` is its own."""
    own = current_arguments("applications" if catalogue.is_application(class_name) else "layers", class_name)
    has_length = class_name in RECURRENT | EMBEDDINGS
    return tuple(name for name in _ARGUMENTS if name not in own and (name != "input_length" or has_length))


def _split(config: dict[str, Any], names: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the config without these arguments, and those of them that are not null."""
    rest = {name: value for name, value in config.items() if name not in names}
    return rest, {name: config[name] for name in names if config.get(name) is not None}


def _shape(class_name: str, values: Mapping[str, Any]) -> InputArgument | None:
    if "batch_input_shape" in values:
        return InputArgument("batch_shape", "batch_input_shape", values["batch_input_shape"])
    if "input_shape" in values:
        shape = values["input_shape"]
        if is_number(shape):
            return InputArgument("shape", ("input_shape",), [shape])
        return InputArgument("shape", "input_shape", shape)
    axes = tuple(name for name in ("input_length", "input_dim") if name in values)
    if not axes:
        return None
    if class_name in RECURRENT:  # the axis of time steps, then that of features
        lengths = [values.get("input_length"), values.get("input_dim")]
        return InputArgument("shape", ("input_length", "input_dim"), lengths)
    if isinstance(values[axes[0]], list):
        return InputArgument("shape", axes[0], values[axes[0]])
    return InputArgument("shape", axes, [values[name] for name in axes])
