"""Check a Keras object as JSON, `{"class_name", "config"}` or a name, and bring it into its canonical form.

Canonical: `{"class_name", "config"}` with the catalogue's own class name, old arguments translated, nothing else. A
name that Keras takes in place of an object ("relu", "glorot_uniform") stays a string. `module` and `registered_name`
are never used to find anything; they may only say that the object is Keras's own.
"""

import re
from typing import Any, Final

from fitqueue.spec.keras_objects import catalogue, dialect, model
from fitqueue.spec.keras_objects.values import check_value
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer, did_you_mean, listed

MAX_NESTING: Final = 16

# What Keras 3 writes beside the class name and config. All but `name` say nothing that we need.
_KEYS: Final = {
    "class_name", "config", "module", "registered_name", "build_config", "compile_config", "name", "inbound_nodes",
    "shared_object_id", "keras_version", "backend",
}  # fmt: skip
# Where Keras's own classes live, as its `to_json` writes it. `keras.src.ops` is not among them: an operation is no
# layer.
_OWN_MODULES: Final = re.compile(
    r"(tensorflow\.|tf_)?(python\.)?keras(\.src)?(\.(layers|models|engine|initializers|regularizers|constraints|activations"
    r"|optimizers|losses|metrics|callbacks|dtype_policies)(\.\w+)*)?|builtins"
)
# Kinds whose functions Keras writes as objects of the class "function".
_FUNCTIONS: Final = {"activations", "losses", "metrics"}
# Kinds whose defaults are filled in: the service itself reads their arguments.
_COMPLETED: Final = {"optimizers", "callbacks"}


# Stands for an object whose faults are written down already, so that nothing else stumbles over it.
FAULTY: Final[dict[str, Any]] = {"class_name": "", "config": {}}


def check_object(value: Any, kind: str, at: Pointer) -> Any:
    """The canonical form of an object of this kind, or of a name for one.

    Faults are written down at their place; then FAULTY comes back, which has the form of an object and no class.
    """
    before = len(at.report.faults)
    canonical = _check(value, kind, at)
    return canonical if len(at.report.faults) == before else FAULTY


def _check(value: Any, kind: str, at: Pointer) -> Any:
    if isinstance(value, str) and kind not in catalogue.OBJECTS_ONLY:
        value = dialect.translate_name(value, kind, at)
    if isinstance(value, str) and kind not in catalogue.OBJECTS_ONLY:
        return _complete(value, kind, at) if kind in _COMPLETED else _check_name(value, kind, at)
    if not isinstance(value, dict):
        expected = 'an object {"class_name": …, "config": {…}}'
        at.fault(FaultCode.WRONG_TYPE, f"Expected {expected}.", received=value, expected=expected)
        return value
    if at.nesting >= MAX_NESTING:
        at.fault(FaultCode.TOO_LARGE, f"Keras objects may nest {MAX_NESTING} deep, not deeper.")
        return value
    if value.get("class_name") == "function" and isinstance(value.get("config"), str) and kind in _FUNCTIONS:
        return _check_name(value["config"], kind, at / "config")
    return _check_object(value, kind, at.deeper())


def _check_name(name: str, kind: str, at: Pointer) -> str:
    known = catalogue.kind(kind)
    if name in known.names:
        return name
    entry = known.classes.get(name)
    if entry is not None:
        needs = listed(entry.required or list(entry.properties))
        at.fault(FaultCode.MISSING, f"{name} needs arguments ({needs}): write it as {{class_name, config}}.", name)
    else:
        at.fault(
            FaultCode.UNKNOWN_NAME,
            f"{name[:64]!r} is not one of the {kind} of this service." + did_you_mean(name, known.all_names()),
            received=name,
            expected=f"one of the {kind} in the catalogue",
        )
    return name


def _complete(name: str, kind: str, at: Pointer) -> Any:
    """A name of a kind whose defaults are filled in becomes an object."""
    entry = _find(catalogue.kind(kind), name)
    if entry is None:
        _unknown_class(name, kind, at)
        return name
    return {"class_name": entry.name, "config": _check_arguments(entry, kind, {"class_name": name}, at)}


def _check_object(value: dict[str, Any], kind: str, at: Pointer) -> dict[str, Any]:
    _check_keys(value, at)
    if kind == "activations" and dialect.present_class(value.get("class_name")) in catalogue.ACTIVATION_LAYERS:
        kind = "layers"
    value = dialect.translate_class(value, kind, at)
    class_name, config = value.get("class_name"), value.get("config", {})
    if not isinstance(class_name, str):
        at.fault(FaultCode.MISSING, "The field 'class_name' is missing.", class_name, "the name of a Keras class")
        return value
    if not isinstance(config, dict):
        (at / "config").fault(FaultCode.WRONG_TYPE, "Expected an object.", config, "an object")
        return value
    if _is_custom(value, at):
        return value
    if kind == "layers" and class_name in catalogue.MODELS:
        return model.check_model(class_name, _named(value, config), at, check_object)
    if kind == "layers" and catalogue.is_application(class_name):
        kind = "applications"
    entry = _find(catalogue.kind(kind), class_name)
    if entry is None:
        _unknown_class(class_name, kind, at / "class_name")
        return value
    return {"class_name": entry.name, "config": _check_arguments(entry, kind, value, at / "config")}


def _check_keys(value: dict[str, Any], at: Pointer) -> None:
    for key in (key for key in value if key not in _KEYS):
        (at / key).fault(
            FaultCode.UNKNOWN_FIELD,
            f"There is no field {key[:64]!r} here." + did_you_mean(key, _KEYS),
            expected="class_name and config",
        )
    if str(value.get("keras_version", "")).startswith("2.") and dialect.mentions(value.get("config"), "hard_sigmoid"):
        at.notice(
            NoticeCode.SUSPICIOUS,
            "hard_sigmoid is x/6 + 0.5 in Keras 3 and was x/5 + 0.5 in Keras 2: weights of the old model give other "
            "results here.",
        )
    if value.get("compile_config"):
        (at / "compile_config").notice(
            NoticeCode.IGNORED, "How the model was compiled is ignored: the job's own `compile` says it."
        )


def _named(value: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Keras writes a functional layer's name beside its config, too; a hand-written one may have it there alone."""
    return {"name": value["name"], **config} if "name" in value and "name" not in config else config


def _is_custom(value: dict[str, Any], at: Pointer) -> bool:
    module, registered = value.get("module"), value.get("registered_name")
    if module is not None and not (isinstance(module, str) and _OWN_MODULES.fullmatch(module)):
        if isinstance(module, str) and module.startswith("keras.src.ops"):
            at.fault(FaultCode.NOT_SUPPORTED, dialect.OPERATION, received=module)
        else:
            (at / "module").fault(
                FaultCode.CUSTOM_OBJECT,
                "The object comes from a module that is not Keras's.",
                received=module,
                expected="null, or a module of Keras",
            )
        return True
    if registered is not None and registered != value["class_name"]:
        (at / "registered_name").fault(
            FaultCode.CUSTOM_OBJECT,
            "The object is registered by its user; only Keras's own objects are accepted.",
            received=registered,
            expected="null",
        )
        return True
    return False


def _find(known: catalogue.Kind, name: str) -> catalogue.Entry | None:
    # Keras looks up optimizers whatever their case.
    return known.find(name) or known.find(name.lower())


def _unknown_class(class_name: str, kind: str, at: Pointer) -> None:
    reason = dialect.OPERATION if class_name in dialect.OPERATIONS else catalogue.left_out(class_name, kind)
    known = catalogue.ACTIVATION_LAYERS if kind == "activations" else catalogue.kind(kind).classes
    advice = f" {reason}" if reason else did_you_mean(class_name, known)
    at.fault(
        FaultCode.UNKNOWN_CLASS,
        f"{class_name[:64]!r} is not one of the {kind} of this service." + advice,
        received=class_name,
        expected=f"one of the {kind} in the catalogue",
    )


def _check_arguments(entry: catalogue.Entry, kind: str, written: dict[str, Any], at: Pointer) -> dict[str, Any]:
    """The object's config with each argument checked; with the defaults filled in where the service reads them."""
    original = _named(written, written.get("config", {}))
    config = dialect.translate_arguments(kind, entry.name, written["class_name"], original, at)
    checked: dict[str, Any] = {}
    for name, value in config.items():
        schema = entry.properties.get(name)
        if schema is None:
            (at / name).fault(
                FaultCode.UNKNOWN_FIELD,
                f"{entry.name} has no argument {name[:64]!r}." + did_you_mean(name, entry.properties),
                received=value,
                expected="one of " + listed(list(entry.properties), most=40),
            )
        else:
            here = at / dialect.as_written(kind, entry.name, name, original)
            checked[name] = check_value(value, schema, here, check_object)
    for name in entry.required:
        if name not in config:
            at.fault(FaultCode.MISSING, f"{entry.name} needs the argument {name!r}.", expected=name)
    return _defaults(entry) | checked if kind in _COMPLETED else checked


def _defaults(entry: catalogue.Entry) -> dict[str, Any]:
    return {name: schema["default"] for name, schema in entry.properties.items() if "default" in schema}
