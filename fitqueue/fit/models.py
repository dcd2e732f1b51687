"""A Keras model and its compilation as the JSON of a job."""

import json
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

import numpy as np

from fitqueue.fit.code_in_config import report_code
from fitqueue.fit.framework import is_builtin, is_keras_2
from fitqueue.spec.findings import FaultCode, Pointer

_KINDS: Final = frozenset({"Sequential", "Functional"})
_SUBCLASS: Final = (
    "{name} is a class of your own: what its methods do is code, and only data can be sent. Build the model of layers, "
    "as a keras.Sequential or as keras.Model(inputs, outputs)."
)
_NOT_COMPILED: Final = "The model is not compiled. Call model.compile(optimizer=…, loss=…) first, as for model.fit."


def describe_model(model: Any, pointer: Pointer) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the architecture of a model, or None for one that is code; and the pointers of what is code in it."""
    if type(model).__name__ not in _KINDS or not is_builtin(type(model)):
        name = type(model).__name__
        pointer.add_fault(FaultCode.CUSTOM_OBJECT, _SUBCLASS.format(name=name), name, "a Sequential or a Functional")
        return None, [pointer.text]
    try:
        described: dict[str, Any] = json.loads(model.to_json())
    except Exception as error:  # whatever Keras raises for a config that is not data
        pointer.add_fault(FaultCode.CUSTOM_OBJECT, f"Keras cannot write the model as JSON: {error}", None, None)
        return None, [pointer.text]
    described = {key: described[key] for key in ("module", "class_name", "config") if key in described}
    return described, report_code(described, pointer)


def describe_compilation(model: Any, pointer: Pointer) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the arguments of `model.compile`, or None if it was not called; and the pointers of what is code."""
    if getattr(model, "optimizer", None) is None:
        pointer.add_fault(FaultCode.MISSING, _NOT_COMPILED, None, "a compiled model")
        return None, [pointer.text]
    compiled = json.loads(json.dumps(model.get_compile_config(), default=_as_data))
    reported = report_code(compiled, pointer)
    if compiled.pop("run_eagerly", False):
        message = "A job trains in compiled steps. Call model.compile without run_eagerly."
        (pointer / "run_eagerly").add_fault(FaultCode.NOT_SUPPORTED, message, True, "false")
        reported.append((pointer / "run_eagerly").text)
    if _is_default_jit(model, compiled.get("jit_compile")):
        compiled["jit_compile"] = "auto"
    compiled["optimizer"] = shorten_rates(compiled["optimizer"])
    return {name: value for name, value in compiled.items() if value is not None}, reported


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
    if isinstance(value, Mapping):
        return value
    return float(str(np.float32(value))) if isinstance(value, float) and float(np.float32(value)) == value else value


def _is_default_jit(model: Any, value: Any) -> bool:
    """Return whether `jit_compile` is what Keras chooses on this machine. It may choose otherwise on a worker."""
    resolve = getattr(model, "_resolve_auto_jit_compile", None)
    return value is None or (resolve is not None and resolve() == value)


def _as_data(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return {"class_name": "function", "config": getattr(value, "__name__", type(value).__name__)}


def io_names(model: Any, keras: ModuleType) -> tuple[list[str], list[str]]:
    """Return the names of a built model's inputs and outputs: those of the layers that they belong to."""
    if is_keras_2(keras):
        return list(model.input_names), list(model.output_names)
    inputs, outputs = (
        [tensor._keras_history.operation.name for tensor in tensors] for tensors in (model.inputs, model.outputs)
    )
    return inputs, outputs


def build_from(model: Any, shape: tuple[int | None, ...], keras: ModuleType) -> None:
    """Build a Sequential without an input, as `fit` does at its first batch."""
    if isinstance(model, keras.Sequential) and not model.built:
        model.build(shape)
