"""A Keras model and its compilation as the JSON of a job."""

import json
import warnings
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any, Final

import numpy as np

from fitqueue.fit.code_in_config import OwnFunctions, is_of_keras, report_code
from fitqueue.fit.framework import is_builtin
from fitqueue.fit.plain import plain
from fitqueue.spec.findings import FaultCode, Pointer

_KINDS: Final = frozenset({"Sequential", "Functional"})
_SUBCLASS: Final = (
    "{name} is a class of your own: what its methods do is code, and only data can be sent. Build the model of layers, "
    "as a keras.Sequential or as keras.Model(inputs, outputs)."
)
_REPLACED: Final = (
    "Its method {name} was replaced by a function of your own, which is code, and only data can be sent. Use the "
    "model as Keras made it."
)
_METHODS: Final = (
    "call", "train_step", "test_step", "compute_loss", "compute_metrics", "make_train_function", "make_test_function",
)  # fmt: skip
_SHARED: Final = (
    "The layer {name!r} is in {first!r} and in {second!r}, which share its weights. Keras writes it into JSON as two "
    "layers with weights of their own. Use each layer in one model only."
)
_NOT_COMPILED: Final = "The model is not compiled. Call model.compile(optimizer=…, loss=…) first, as for model.fit."


def describe_model(model: Any, pointer: Pointer) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the architecture of a model, or None for one that is code; and the pointers of what is code in it."""
    if type(model).__name__ not in _KINDS or not is_builtin(type(model)):
        name = type(model).__name__
        pointer.add_fault(FaultCode.CUSTOM_OBJECT, _SUBCLASS.format(name=name), name, "a Sequential or a Functional")
        return None, [pointer.text]
    for name in _METHODS:
        if name in vars(model) and not is_of_keras(vars(model)[name]):
            pointer.add_fault(FaultCode.CUSTOM_OBJECT, _REPLACED.format(name=name), name, "a model of Keras's own")
            return None, [pointer.text]
    if (shared := _shared_layer(model)) is not None:
        name, first, second = shared
        message = _SHARED.format(name=name, first=first, second=second)
        pointer.add_fault(FaultCode.NOT_SUPPORTED, message, name, "a layer in one model")
        return None, [pointer.text]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of lambdas, which are refused below
            described: dict[str, Any] = json.loads(model.to_json())
    except Exception as error:  # whatever Keras raises for a config that is not data
        message = f"Keras cannot write the model as JSON: {str(error).partition(chr(10))[0]}"
        pointer.add_fault(FaultCode.CUSTOM_OBJECT, message, None, "a model of Keras's own layers")
        return None, [pointer.text]
    described = {key: described[key] for key in ("module", "class_name", "config") if key in described}
    return described, report_code(described, pointer, _own_functions(model))


def _shared_layer(model: Any) -> tuple[str, str, str] | None:
    """Return the name of a layer that belongs to two models or wrappers inside the model, and the names of those."""
    owners: dict[int, Any] = {}
    for owner in [model, *model._flatten_layers(include_self=False, recursive=True)]:
        for layer in _layers_of(owner):
            other = owners.setdefault(id(layer), owner)
            if other is not owner:
                return str(layer.name), str(other.name), str(owner.name)
    return None


def _layers_of(owner: Any) -> list[Any]:
    layers = getattr(owner, "layers", None)
    return list(owner._flatten_layers(include_self=False, recursive=False) if layers is None else layers)


def _own_functions(model: Any) -> OwnFunctions:
    """Return the functions of the user's that layers call. Keras writes one that is named `relu` as its own."""
    return {
        (str(layer.name), key): value.__name__
        for layer in model._flatten_layers(include_self=False, recursive=True)
        for key, value in vars(layer).items()
        if isinstance(value, FunctionType) and not key.startswith("_") and not is_of_keras(value)
    }


# --- Compilation ---------------------------------------------------------------------------------------------------


def describe_compilation(model: Any, pointer: Pointer) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the arguments of `model.compile`, or None if it was not called; and the pointers of what is code."""
    if getattr(model, "optimizer", None) is None:
        pointer.add_fault(FaultCode.MISSING, _NOT_COMPILED, None, "a compiled model")
        return None, [pointer.text]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of lambdas, which are refused below
        config = _with_names(model.get_compile_config(), getattr(model._compile_config, "config", None))
    compiled = json.loads(json.dumps(plain(config), default=_as_data))
    reported = report_code(compiled, pointer)
    if compiled.pop("run_eagerly", False):
        message = "A job trains in compiled steps. Call model.compile without run_eagerly."
        (pointer / "run_eagerly").add_fault(FaultCode.NOT_SUPPORTED, message, True, "false")
        reported.append((pointer / "run_eagerly").text)
    if _is_default_jit(model, compiled.get("jit_compile")):
        compiled["jit_compile"] = "auto"
    compiled["optimizer"] = shorten_rates(compiled["optimizer"])
    return {name: value for name, value in compiled.items() if value is not None}, reported


def _with_names(config: Any, given: Any) -> Any:
    """Return the config of a compilation with Keras's own functions by their names.

    Args:
        given: what `model.compile` got. In the config alone, a function of Keras looks like one of the user's.
    """
    if isinstance(config, Mapping) and config.get("class_name") == "function":
        return given.__name__ if callable(given) and is_of_keras(given) else config
    if isinstance(config, Mapping) and isinstance(given, Mapping):
        return {key: _with_names(inner, given.get(key)) for key, inner in config.items()}
    if isinstance(config, list) and isinstance(given, list | tuple) and len(config) == len(given):
        return [_with_names(inner, one_given) for inner, one_given in zip(config, given, strict=True)]
    return config


def shorten_rates(optimizer: Any) -> Any:
    """Return an optimizer whose learning rates are the shortest decimals of the same float32.

    Keras reads the rate from a float32 variable: 0.001 becomes 0.0010000000474974513.
    """
    if not isinstance(optimizer, Mapping):
        return optimizer
    return {
        name: _shortest(value) if name == "learning_rate" else shorten_rates(value) for name, value in optimizer.items()
    }


def _shortest(value: Any) -> Any:
    return float(str(np.float32(value))) if isinstance(value, float) and float(np.float32(value)) == value else value


def _is_default_jit(model: Any, value: Any) -> bool:
    """Return whether `jit_compile` is what Keras chooses on this machine. It may choose otherwise on a worker."""
    resolve = getattr(model, "_resolve_auto_jit_compile", None)
    return value is None or (resolve is not None and resolve() == value)


def _as_data(value: Any) -> Any:
    return {"class_name": "function", "config": getattr(value, "__name__", type(value).__name__)}


# --- Inputs and outputs --------------------------------------------------------------------------------------------


def io_names(described: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the names of a model's inputs and outputs: the keys that it was made with, or those of its layers."""
    config = described["config"]
    if described["class_name"] != "Sequential":
        return _names(config["input_layers"]), _names(config["output_layers"])
    first, last = config["layers"][0], config["layers"][-1]
    return _name_of(first), _name_of(last)


def _name_of(layer: Mapping[str, Any]) -> list[str]:
    return [str(layer["config"].get("name"))]


def _names(tensors: Any) -> list[str]:
    """Return the names in the order in which Keras takes them from a list."""
    if isinstance(tensors, Mapping):
        return sorted(map(str, tensors))
    if tensors and isinstance(tensors[0], str):
        return [tensors[0]]
    return [name for inner in tensors for name in _names(inner)]


def build_from(model: Any, shape: tuple[int, ...], keras: ModuleType, pointer: Pointer) -> bool:
    """Build a Sequential without an input, as `fit` does at its first batch; return whether Keras could do it.

    Args:
        shape: of the array of inputs.
    """
    if not isinstance(model, keras.Sequential) or model.built:
        return True
    try:
        model.build((None, *shape[1:]))
    except Exception as error:  # whatever the layers raise
        message = f"Keras cannot build the model for x of the shape {shape}: {str(error).partition(chr(10))[0]}"
        pointer.add_fault(FaultCode.INVALID_MODEL, message, list(shape), "an x that fits the first layer")
        return False
    return True
