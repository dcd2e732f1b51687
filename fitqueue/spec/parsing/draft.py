"""Check the Keras objects in a job as it was sent, each by itself."""

from typing import Any, Final

from fitqueue.errors import MalformedJSON
from fitqueue.spec.fields.training import MAX_OBJECTS
from fitqueue.spec.filepath import COUNTERS
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.legacy.keras1 import report_keras1
from fitqueue.spec.keras_objects.legacy.names import present_class
from fitqueue.spec.keras_objects.legacy.tensorflow_js import report_tensorflow_js
from fitqueue.spec.keras_objects.legacy.versions import with_defaults_of_version
from fitqueue.spec.keras_objects.naming import ROOT_NAME, has_pattern
from fitqueue.spec.keras_objects.objects import FAULTY, check_object
from fitqueue.spec.parsing.present_names import with_present_names
from fitqueue.spec.report import FaultCode, Pointer, listed
from fitqueue.spec.strict import is_by_name
from fitqueue.spec.strict_json import parse_json


def with_checked_objects(raw: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the job with its Keras objects in canonical form, and FAULTY in place of those with faults."""
    draft = dict(raw)
    if "model" in raw:
        draft["model"] = _check_model(raw["model"], pointer / "model")
        draft |= with_present_names(draft, draft["model"])
    if isinstance(draft.get("compile"), dict):
        draft["compile"] = _check_compile(draft["compile"], pointer / "compile")
    if isinstance(raw.get("callbacks"), list):
        draft["callbacks"] = _check_list(raw["callbacks"], "callbacks", pointer / "callbacks")
    return draft


def _check_model(value: Any, pointer: Pointer) -> Any:
    if isinstance(value, str):  # `model.to_json()` returns a string
        try:
            value = parse_json(value.encode("utf-8", "surrogatepass"))
        except MalformedJSON as error:
            message = f"A model that is sent as a string must be JSON. {error.message}"
            pointer.add_fault(FaultCode.WRONG_TYPE, message, value, "JSON")
            return FAULTY
    if isinstance(value, dict):
        if report_keras1(value, pointer) or report_tensorflow_js(value, pointer):
            return FAULTY
        class_name = present_class(value.get("class_name"))
        if class_name is not None and class_name not in catalogue.MODELS and not catalogue.is_application(class_name):
            (pointer / "class_name").add_fault(
                FaultCode.UNKNOWN_CLASS,
                "A model must be a Sequential, a Functional, or an architecture of keras.applications.",
                received=value["class_name"],
                expected="'Sequential', 'Functional', or a name such as 'ResNet50'",
            )
            return FAULTY
        value = with_defaults_of_version(value, pointer)
    elif isinstance(value, str):
        pointer.add_fault(FaultCode.WRONG_TYPE, "Expected an object.", value, "an object")
        return FAULTY
    model = check_object(value, "layers", pointer)
    _check_root_name(model, pointer / "config" / "name")
    return model


def _check_root_name(model: dict[str, Any], pointer: Pointer) -> None:
    name = model["config"].get("name")
    if name is not None and not has_pattern(name, ROOT_NAME):
        pointer.add_fault(FaultCode.BAD_NAME, f"Expected {ROOT_NAME['title']}.", name, ROOT_NAME["title"])


def _check_compile(value: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    draft = dict(value)
    if "optimizer" in value:
        draft["optimizer"] = check_object(value["optimizer"], "optimizers", pointer / "optimizer")
    if "loss" in value:
        draft["loss"] = _check_loss(value["loss"], pointer / "loss")
    for name in ("metrics", "weighted_metrics"):
        if name in value:
            draft[name] = _check_metrics(value[name], pointer / name)
    return draft


def _check_loss(value: Any, pointer: Pointer) -> Any:
    if value and is_by_name(value):
        return {output: check_object(loss, "losses", pointer / output) for output, loss in value.items()}
    return check_object(value, "losses", pointer)


def _check_metrics(value: Any, pointer: Pointer) -> Any:
    if value and is_by_name(value):
        # Keras accepts a single metric without a list around it; what is stored is always a list.
        return {
            output: _check_list(metrics if isinstance(metrics, list) else [metrics], "metrics", pointer / output)
            for output, metrics in value.items()
        }
    return _check_list(value, "metrics", pointer) if isinstance(value, list) else value


_RESERVED_NAMES: Final = (*COUNTERS, "loss")


def _check_list(values: list[Any], kind: str, pointer: Pointer) -> list[Any]:
    # One more than the maximum is enough for the list to be reported as too long.
    checked = [check_object(value, kind, pointer / i) for i, value in enumerate(values[: MAX_OBJECTS + 1])]
    for i, metric in enumerate(checked):
        if kind == "metrics" and isinstance(metric, dict) and metric["config"].get("name") in _RESERVED_NAMES:
            (pointer / i / "config" / "name").add_fault(
                FaultCode.BAD_NAME,
                "A metric with this name would hide a value that Keras itself logs.",
                received=metric["config"]["name"],
                expected="a name other than " + listed(_RESERVED_NAMES),
            )
    return checked
