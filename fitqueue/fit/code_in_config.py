"""Find what a config of Keras holds that is code, and so cannot travel: functions, and classes of users."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fitqueue.spec.findings import FaultCode, Pointer

_ROOTS: Final = ("keras", "tf_keras", "tensorflow", "builtins")
_FUNCTIONS: Final = frozenset({"__lambda__", "function"})

FUNCTION: Final = "A function is code, and only data can be sent. Use one of Keras's own by its name."
LAMBDA: Final = (
    "A Lambda layer is code, and only data can be sent. Use a layer that does the same, such as Rescaling for `x * 2.0`"
    " or Activation for a function of Keras."
)


def report_code(config: Any, pointer: Pointer) -> list[str]:
    """Report each function and each class of the user's in a config; return their pointers."""
    reported = []
    for where, found in _walk(config, pointer):
        name = str(found["class_name"])
        if name in _FUNCTIONS:
            where.add_fault(FaultCode.CUSTOM_OBJECT, FUNCTION, _function_name(found), "the name of a Keras object")
        elif name == "Lambda":
            where.add_fault(FaultCode.CUSTOM_OBJECT, LAMBDA, name, "a layer of the catalogue")
        elif _is_users(found):
            message = (
                f"{name} is a class of your own, which is code, and only data can be sent. Use Keras's own classes."
            )
            where.add_fault(FaultCode.CUSTOM_OBJECT, message, name, "a class of the catalogue")
        else:
            continue
        reported.append(where.text)
    return reported


def _walk(value: Any, pointer: Pointer) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    """Yield each serialized object, those inside of one after it; nothing inside of one that is code."""
    if isinstance(value, Mapping):
        if "class_name" in value:
            yield pointer, value
            if str(value["class_name"]) in _FUNCTIONS or _is_users(value):
                return
        for key, inner in value.items():
            yield from _walk(inner, pointer / str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _walk(inner, pointer / index)


def _is_users(found: Mapping[str, Any]) -> bool:
    module, registered = found.get("module"), found.get("registered_name")
    if module is None:
        return isinstance(registered, str) and ">" in registered
    return isinstance(module, str) and module.partition(".")[0] not in _ROOTS


def _function_name(found: Mapping[str, Any]) -> str:
    config = found.get("config")
    return config if isinstance(config, str) else "a lambda"
