"""Create one Keras object of any kind from a checked job.

Classes come from our own registry, which is filled from the catalogue when this module is imported. No name in a job is
ever looked up in Keras.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Final

import keras
import numpy as np

from fitqueue.json_pointer import pointer_to
from fitqueue.spec import KerasObject
from fitqueue.spec.keras_objects import catalogue
from workers.keras_tools.downloads import exclusive_download
from workers.keras_tools.errors import ModelBuildError, raise_build_error

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

# Kinds for which Keras refuses 1 where it expects 1.0. JSON does not tell them apart, and JavaScript writes 1.
_STRICT_ABOUT_FLOATS: Final = {"optimizers", "metrics"}
_ARRAY: Final = {"declared": "nested_list_of_numbers"}


def make_object(kind: str, value: str | KerasObject | Mapping[str, Any], pointer: str) -> Any:
    """Return the object, or its name if Keras accepts the name in its place.

    Raises:
        ModelBuildError: Keras cannot create it.
    """
    if isinstance(value, str):
        if value not in catalogue.kind(kind).names:
            raise ModelBuildError(pointer, f"{value!r} is not one of the {kind} of this service.")
        return value
    class_name, config = _class_and_config(value)
    arguments = make_arguments(kind, class_name, config, f"{pointer}/config")
    return call_class(CLASSES[kind][class_name], arguments, pointer, class_name)


def _class_and_config(value: KerasObject | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if isinstance(value, KerasObject):
        return value.class_name, value.config
    return value["class_name"], value["config"]


def make_arguments(kind: str, class_name: str, config: Mapping[str, Any], pointer: str) -> dict[str, Any]:
    """Return the arguments of a class, with objects in place of their configs; layers are left for the caller.

    A dtype policy stays a name, as in Keras's `from_config`: some layers, such as ELU, cannot be saved if they were
    created with the object.

    Args:
        pointer: where `config` is in the job.

    Raises:
        ModelBuildError: the catalogue does not have the class or an argument, or Keras cannot create an argument.
    """
    if class_name not in CLASSES[kind]:
        raise ModelBuildError(pointer, f"{class_name!r} is not one of the {kind} of this service.")
    properties = catalogue.kind(kind).classes[class_name].properties
    arguments: dict[str, Any] = {}
    for name, value in config.items():
        if name not in properties:
            raise ModelBuildError(pointer + pointer_to(name), f"{class_name} has no argument {name!r}.")
        arguments[name] = _make_argument(kind, value, properties[name], pointer + pointer_to(name))
    return arguments


def _make_argument(kind: str, value: Any, schema: catalogue.Schema, pointer: str) -> Any:
    value_kind = _kind_in(schema)
    if _is_layer(value_kind, value):
        return value
    if value_kind == "dtype_policies" and isinstance(value, dict):
        return value["config"]["name"]
    if value_kind is not None and isinstance(value, str | dict):
        return make_object(value_kind, value, pointer)
    if _ARRAY in _options(schema) and isinstance(value, list):
        return np.array(value, "float64")
    if kind in _STRICT_ABOUT_FLOATS and _is_integer_for_float(value, schema):
        return float(value)
    return value


def _kind_in(schema: catalogue.Schema) -> Any:
    """Return the kind of Keras objects that an argument accepts; None if it accepts none."""
    return next((option["keras"] for option in _options(schema) if "keras" in option), None)


def _is_integer_for_float(value: Any, schema: catalogue.Schema) -> bool:
    types = {option.get("type") for option in _options(schema)}
    return type(value) is int and "number" in types and "integer" not in types


def _is_layer(kind: str | None, value: Any) -> bool:
    """Return whether the value is a layer. Activations that are objects are layers; the others are names."""
    return kind == "layers" or (kind == "activations" and isinstance(value, dict))


def _options(schema: catalogue.Schema) -> list[Any]:
    options: list[Any] = schema.get("anyOf", [schema])
    return options


def layer_arguments(kind: str, class_name: str, arguments: Mapping[str, Any]) -> list[str]:
    """Return the names of the arguments that are layers or lists of layers."""
    properties = catalogue.kind(kind).classes[class_name].properties
    return [name for name, value in arguments.items() if _contains_layers(value, properties[name])]


def _contains_layers(value: Any, schema: catalogue.Schema) -> bool:
    kinds = {option.get("keras", option.get("items", {}).get("keras")) for option in _options(schema)}
    return any(_is_layer(kind, value) for kind in kinds)


def call_application(class_name: str, arguments: Mapping[str, Any], pointer: str) -> keras.Model:
    """Return the model of an architecture in `keras.applications`.

    Raises:
        ModelBuildError: Keras cannot create it, or cannot download its weights.
    """
    try:
        with exclusive_download(class_name) if arguments.get("weights", True) else nullcontext():
            return CLASSES["applications"][class_name](**arguments)
    except Exception as error:
        if "URL fetch failure" not in str(error):
            raise_build_error(pointer, class_name, error)
        raise ModelBuildError(
            f"{pointer}/config/weights",
            f"The worker cannot download the published weights of {class_name}: {error}. Put their file into the "
            "folder on the worker in which Keras looks for such files (~/.keras/models), or set `weights` to null.",
        ) from error


def call_class(cls: Callable[..., Any], arguments: Mapping[str, Any], pointer: str, description: str) -> Any:
    """Return an instance of the class.

    Raises:
        ModelBuildError: its constructor raised an error.
    """
    try:
        return cls(**arguments)
    except Exception as error:
        raise_build_error(pointer, description, error)
