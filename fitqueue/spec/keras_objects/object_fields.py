"""Check the fields that Keras writes beside the class name and the config of an object."""

import re
from typing import Any, Final

from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer, did_you_mean, quoted
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.class_lookup import NO_OPERATIONS, without_package
from fitqueue.spec.keras_objects.legacy.keras3_operations import advice_on_keras3, is_keras3_operation
from fitqueue.spec.keras_objects.legacy.names import contains

# Only `name` and `inbound_nodes` are used, beside the class name and the config.
_FIELDS: Final = {
    "class_name", "config", "module", "registered_name", "build_config", "compile_config", "name", "inbound_nodes",
    "shared_object_id", "keras_version", "backend",
}  # fmt: skip
# The modules of Keras's own classes, as `to_json` writes them, and that of `tf.constant_initializer`, which is Keras's.
# `keras.src.ops` is not one of them: operations are not layers.
_KERAS_MODULES: Final = re.compile(
    r"(tensorflow\.|tf_)?(python\.|_api\.v2\.|compat\.v[12]\.)?keras(_core)?(\.api)?(\._v[12]\.keras)?(\.src)?"
    r"(\.(layers|models|engine|initializers|regularizers|constraints|activations|optimizers|losses|metrics|callbacks"
    r"|dtype_policies|mixed_precision)(\.\w+)*)?|builtins|tensorflow\.python\.ops\.init_ops(_v2)?"
)


def check_fields(value: dict[str, Any], pointer: Pointer) -> None:
    """Report unknown fields, and what the service ignores although it may matter to the user."""
    for name in (name for name in value if name not in _FIELDS):
        (pointer / name).add_fault(
            FaultCode.UNKNOWN_FIELD,
            f"Unknown field {quoted(name)}." + _suggestion(name, value.get("class_name")),
            expected="class_name and config",
        )
    if str(value.get("keras_version", "")).startswith("2.") and contains(value.get("config"), "hard_sigmoid"):
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            "hard_sigmoid was x/5 + 0.5 in Keras 2 and is x/6 + 0.5 in Keras 3: weights trained with Keras 2 give "
            "different results here.",
        )
    if value.get("compile_config"):
        (pointer / "compile_config").add_notice(
            NoticeCode.IGNORED, "The compile_config of the model is ignored: the job has its own `compile`."
        )


def _suggestion(name: str, class_name: Any) -> str:
    """Return a sentence that says where an argument beside the config belongs, or which field was probably meant."""
    if isinstance(class_name, str) and catalogue.has_argument(class_name, name):
        return f" It is an argument: did you mean 'config.{name}'?"
    return did_you_mean(name, _FIELDS)


def is_custom(value: dict[str, Any], pointer: Pointer) -> bool:
    """Report an object that is not one of Keras's own. Return whether it is custom."""
    module, registered_name = value.get("module"), value.get("registered_name")
    if module is not None and not (isinstance(module, str) and _KERAS_MODULES.fullmatch(module)):
        if is_keras3_operation(value):
            message = f"{NO_OPERATIONS} {advice_on_keras3(value)}"
            pointer.add_fault(FaultCode.NOT_SUPPORTED, message, received=module)
        else:
            (pointer / "module").add_fault(
                FaultCode.CUSTOM_OBJECT,
                "The module of this object is not part of Keras.",
                received=module,
                expected="null, or a module of Keras",
            )
        return True
    if registered_name is not None and registered_name != value["class_name"]:
        (pointer / "registered_name").add_fault(
            FaultCode.CUSTOM_OBJECT,
            "The object is a custom one, registered by a user. Only Keras's own objects are accepted."
            + _own_class(registered_name),
            received=registered_name,
            expected="null",
        )
        return True
    return False


def _own_class(registered_name: Any) -> str:
    """Return a sentence about Keras's own class of the same name, if there is one."""
    class_name = without_package(registered_name) if isinstance(registered_name, str) else ""
    if not any(catalogue.kind(kind).find(class_name) for kind in catalogue.raw_catalogue()["kinds"]):
        return ""
    return f" If it is Keras's own {class_name}, leave registered_name out."


def config_with_name(value: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with the object's name, which a functional layer may have beside its config."""
    return {"name": value["name"], **config} if "name" in value and "name" not in config else config
