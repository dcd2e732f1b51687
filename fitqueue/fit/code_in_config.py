"""Find what a config of Keras holds that is code, and so cannot be sent: functions, and classes of users."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fitqueue.spec.findings import FaultCode, Pointer

_ROOTS: Final = ("keras", "tf_keras", "tensorflow", "builtins")
_FUNCTIONS: Final = frozenset({"__lambda__", "function"})

OwnFunctions = Mapping[tuple[str, str], str]
"""The name of each function of the user's that a layer has, by the layer's name and its argument."""

LAMBDA: Final = (
    "A Lambda layer is code, and only data can be sent. Use a layer that does the same, such as Rescaling for `x * 2.0`"
    " or Activation for a function of Keras."
)

_ADDED: Final = (
    "A loss or a metric that is added to a model is not sent. Make it an output of the model, with a loss or a metric "
    "in model.compile."
)
_ADDING_LAYERS: Final = frozenset({"AddLoss", "AddMetric"})

_ADVICE: Final = {
    "loss": "Use one of Keras's losses, such as keras.losses.Huber().",
    "metrics": "Use one of Keras's metrics, or compute yours afterwards on the model that comes back.",
    "learning_rate": (
        "Use one of keras.optimizers.schedules, or a LearningRateScheduler, whose function is called here for each "
        "epoch."
    ),
    "optimizer": "Use one of Keras's optimizers.",
    "activation": 'Use one of Keras\'s activations by its name, such as "gelu".',
    "initializer": "Use one of Keras's initializers, such as keras.initializers.HeNormal().",
    "regularizer": "Use one of Keras's regularizers, such as keras.regularizers.L2(0.01).",
    "constraint": "Use one of Keras's constraints, such as keras.constraints.MaxNorm(2.0).",
    "": "Use Keras's own layers.",
}
"""What to use instead, by the end of the argument's name."""


def report_code(config: Any, pointer: Pointer, own: OwnFunctions | None = None) -> list[str]:
    """Report each function and each class of the user's in a config; return their pointers.

    Args:
        own: functions that the config does not show: Keras writes some of them by their names alone.
    """
    reported = []
    for where, found in _walk(config, pointer, own or {}):
        name = str(found["class_name"])
        if name in _FUNCTIONS:
            name = _function_name(found)
            words = f"The function {name!r}" if name.isidentifier() else "A lambda"
            message = f"{words} is code, and only data can be sent. {_advice(where)}"
            where.add_fault(FaultCode.CUSTOM_OBJECT, message, name, "an object of Keras, or its name")
        elif name == "Lambda":
            where.add_fault(FaultCode.CUSTOM_OBJECT, LAMBDA, name, "a layer of the catalogue")
        elif name in _ADDING_LAYERS:
            where.add_fault(FaultCode.NOT_SUPPORTED, _ADDED, name, "a loss or a metric in model.compile")
        else:
            message = f"{name} is a class of your own, which is code, and only data can be sent. {_advice(where)}"
            where.add_fault(FaultCode.CUSTOM_OBJECT, message, name, "a class of the catalogue")
        reported.append(where.text)
    return reported


def is_of_keras(function: Any) -> bool:
    """Return whether Keras or TensorFlow defines a function."""
    return str(getattr(function, "__module__", "")).partition(".")[0] in _ROOTS


def _walk(value: Any, pointer: Pointer, own: OwnFunctions) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    """Yield each serialized object that is code; nothing inside of one."""
    if isinstance(value, Mapping):
        if "class_name" in value and _is_code(value):
            yield pointer, value
            return
        hidden = _own_arguments(value, own)
        for key, name in hidden.items():
            yield pointer / "config" / key, {"class_name": "function", "config": name}
        for key, inner in value.items():
            if key == "config" and hidden and isinstance(inner, Mapping):
                inner = {name: argument for name, argument in inner.items() if name not in hidden}
            yield from _walk(inner, pointer / str(key), own)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _walk(inner, pointer / index, own)


def _own_arguments(value: Mapping[str, Any], own: OwnFunctions) -> dict[str, str]:
    config = value.get("config")
    if "class_name" not in value or not isinstance(config, Mapping):
        return {}
    name = str(config.get("name"))
    return {key: own[name, key] for key in config if (name, key) in own}


def _is_code(found: Mapping[str, Any]) -> bool:
    return found["class_name"] in {*_FUNCTIONS, *_ADDING_LAYERS, "Lambda"} or _is_users(found)


def _is_users(found: Mapping[str, Any]) -> bool:
    module, registered = found.get("module"), found.get("registered_name")
    if module is None:
        return isinstance(registered, str)
    return isinstance(module, str) and module.partition(".")[0] not in _ROOTS


def _function_name(found: Mapping[str, Any]) -> str:
    config = found.get("config")
    return config if isinstance(config, str) else "<lambda>"


def _advice(pointer: Pointer) -> str:
    for key in reversed(pointer.text.split("/")):
        for ending, advice in _ADVICE.items():
            if ending and key.endswith(ending):
                return advice
    return _ADVICE[""]
