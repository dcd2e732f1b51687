"""Make one Keras object from a checked job, whatever its kind, and say in plain words why it cannot be made.

Classes come from a registry of our own, filled from the catalogue when this module is loaded; no name of a job is ever
looked up in Keras.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Final, NoReturn

import keras
import tensorflow as tf

from fitqueue.spec import KerasObject
from fitqueue.spec.keras_objects import catalogue
from workers.keras_tools.downloads import one_at_a_time

Classes = Mapping[str, Callable[..., Any]]


def _registry() -> dict[str, Classes]:
    modules = {
        "layers": keras.layers,
        "applications": keras.applications,
        "optimizers": keras.optimizers,
        "schedules": keras.optimizers.schedules,
        "losses": keras.losses,
        "metrics": keras.metrics,
        "initializers": keras.initializers,
        "regularizers": keras.regularizers,
        "constraints": keras.constraints,
        "dtype_policies": keras.dtype_policies,
        "callbacks": keras.callbacks,
    }
    return {
        kind: {name: getattr(module, name) for name in catalogue.kind(kind).classes} for kind, module in modules.items()
    }


CLASSES: Final = _registry()


class ModelBuildError(Exception):
    """Keras cannot make what the job asks for. `pointer` is the place in the stored job; the message is for people."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


def make_object(kind: str, value: str | KerasObject | Mapping[str, Any], pointer: str) -> Any:
    """The object, or its name where that is what Keras takes."""
    if isinstance(value, str):
        if value not in catalogue.kind(kind).names:
            raise ModelBuildError(pointer, f"{value!r} is not one of the {kind} of this service.")
        return value
    class_name, config = _parts(value)
    made = make_arguments(kind, class_name, config, f"{pointer}/config")
    return call_class(CLASSES[kind][class_name], made, pointer, class_name)


def _parts(value: KerasObject | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if isinstance(value, KerasObject):
        return value.class_name, value.config
    return value["class_name"], value["config"]


def make_arguments(kind: str, class_name: str, config: Mapping[str, Any], pointer: str) -> dict[str, Any]:
    """The arguments of a class, with the objects among them made. Layers among them are left as they are.

    A dtype policy is handed on as its name, as Keras's `from_config` does: a layer that was made with the object, such
    as ELU, cannot always be saved.
    """
    if class_name not in CLASSES[kind]:
        raise ModelBuildError(pointer, f"{class_name!r} is not one of the {kind} of this service.")
    properties = catalogue.kind(kind).classes[class_name].properties
    made = dict(config)
    for name, value in config.items():
        if name not in properties:
            raise ModelBuildError(f"{pointer}/{name}", f"{class_name} has no argument {name!r}.")
        of_kind = _kind_in(properties[name])
        if _is_layer(of_kind, value):
            continue
        if of_kind == "dtype_policies" and isinstance(value, dict):
            made[name] = value["config"]["name"]
        elif of_kind is not None and isinstance(value, str | dict):
            made[name] = make_object(of_kind, value, f"{pointer}/{name}")
        elif kind in _PARTICULAR and _is_whole_for_float(value, properties[name]):
            made[name] = float(value)
    return made


_PARTICULAR: Final = {"optimizers", "metrics"}
"""Kinds of which Keras refuses a 1 where it wants a 1.0. JSON knows no difference, and JavaScript writes the former."""


def _is_whole_for_float(value: Any, schema: catalogue.Schema) -> bool:
    types = {one.get("type") for one in schema.get("anyOf", [schema])}
    return type(value) is int and "number" in types and "integer" not in types


def _is_layer(of_kind: str | None, value: Any) -> bool:
    """Whether the value is a layer. An activation that is an object is one, too: all others have names."""
    return of_kind == "layers" or (of_kind == "activations" and isinstance(value, dict))


def _kind_in(schema: catalogue.Schema) -> Any:
    return next((one["keras"] for one in schema.get("anyOf", [schema]) if "keras" in one), None)


def layers_among(kind: str, class_name: str, arguments: Mapping[str, Any]) -> list[str]:
    """Names of those arguments that are layers, or lists of them."""
    properties = catalogue.kind(kind).classes[class_name].properties
    return [name for name, value in arguments.items() if _holds_layers(value, properties[name])]


def _holds_layers(value: Any, schema: catalogue.Schema) -> bool:
    kinds = {one.get("keras", one.get("items", {}).get("keras")) for one in schema.get("anyOf", [schema])}
    return any(_is_layer(kind, value) for kind in kinds)


def call_application(class_name: str, arguments: Mapping[str, Any], pointer: str) -> keras.Model:
    """The model that a function of `keras.applications` makes; ModelBuildError in place of what it raises."""
    try:
        with one_at_a_time(class_name) if arguments.get("weights", True) else nullcontext():
            return CLASSES["applications"][class_name](**arguments)
    except Exception as error:
        if "URL fetch failure" not in str(error):
            fail(pointer, class_name, error)
        raise ModelBuildError(
            f"{pointer}/config/weights",
            f"The worker cannot fetch the published weights of {class_name}: {error}. Put their file where Keras keeps "
            "such files on the worker (~/.keras/models), or set `weights` to null.",
        ) from error


def call_class(cls: Callable[..., Any], arguments: Mapping[str, Any], pointer: str, what: str) -> Any:
    """An instance of the class; ModelBuildError in place of what its constructor raises."""
    try:
        return cls(**arguments)
    except Exception as error:
        fail(pointer, what, error)


# --- Keras's words -------------------------------------------------------------------------------------------------

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_PREAMBLE: Final = re.compile(r"^.*Exception encountered(?: when calling [^\n]*)?[.:]\s*", re.DOTALL)
_ARGUMENTS: Final = re.compile(r"\s*Arguments received by .*", re.DOTALL)


def fail(pointer: str, what: str, error: Exception) -> NoReturn:
    """Raise ModelBuildError in place of an error of Keras; what the machine and not the model lacks stays as it is."""
    if isinstance(error, ModelBuildError | MemoryError | tf.errors.ResourceExhaustedError):
        raise error
    text = keras_words(error)
    raise ModelBuildError(pointer, f"{what}: {text}" if what else text) from error


def keras_words(error: Exception) -> str:
    """What Keras says is wrong, without what stands around it."""
    return _ARGUMENTS.sub("", _PREAMBLE.sub("", _COLOURS.sub("", str(error)))).strip()
