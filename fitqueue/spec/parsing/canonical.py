"""Check the Keras objects in a job as it was sent, each by itself."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from fitqueue.errors import MalformedJSON
from fitqueue.spec.fields.training import MAX_OBJECTS
from fitqueue.spec.filepath import COUNTERS
from fitqueue.spec.findings import FaultCode, Pointer, listed
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.legacy.keras1 import report_keras1
from fitqueue.spec.keras_objects.legacy.names import current_class
from fitqueue.spec.keras_objects.legacy.tensorflow_js import report_tensorflow_js
from fitqueue.spec.keras_objects.legacy.versions import with_defaults_of_version
from fitqueue.spec.keras_objects.legacy.wrapped_models import report_wrapped_model
from fitqueue.spec.keras_objects.naming import ROOT_NAME, has_pattern
from fitqueue.spec.keras_objects.objects import FAULTY, check_object
from fitqueue.spec.parsing.compile_arguments import current_arguments
from fitqueue.spec.parsing.current_names import with_current_names
from fitqueue.spec.parsing.fit_arguments import without_defaults
from fitqueue.spec.strict import is_by_name
from fitqueue.spec.strict_json import parse_json


def with_canonical_objects(raw: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the job with its Keras objects in canonical form, and FAULTY in place of those with faults."""
    canonical = without_defaults(raw, pointer)
    if "model" in raw:
        canonical["model"] = _check_model(raw["model"], pointer / "model")
        canonical |= with_current_names(canonical, canonical["model"])
    if isinstance(canonical.get("compile"), dict):
        canonical["compile"] = _check_compile(canonical["compile"], pointer / "compile")
    if isinstance(raw.get("callbacks"), list):
        canonical["callbacks"] = _check_list(raw["callbacks"], _check_callback, pointer / "callbacks")
    return canonical


def _check_model(value: Any, pointer: Pointer) -> Any:
    if isinstance(value, str):  # `model.to_json()` returns a string
        try:
            value = parse_json(value.encode("utf-8", "surrogatepass"))
        except MalformedJSON as error:
            message = f"A model that is sent as a string must be JSON. {error.message}"
            pointer.add_fault(FaultCode.WRONG_TYPE, message, value, "JSON")
            return FAULTY
    if isinstance(value, dict):
        if any(report(value, pointer) for report in (report_keras1, report_tensorflow_js, report_wrapped_model)):
            return FAULTY
        class_name = current_class(value.get("class_name"))
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
    canonical = value = current_arguments(value, pointer)
    if "optimizer" in value:
        canonical["optimizer"] = check_object(value["optimizer"], "optimizers", pointer / "optimizer")
    if "loss" in value:
        canonical["loss"] = _check_loss(value["loss"], pointer / "loss")
    for name in ("metrics", "weighted_metrics"):
        if name in value:
            canonical[name] = _check_metrics(value[name], pointer / name)
    return canonical


def _check_loss(value: Any, pointer: Pointer) -> Any:
    if value and is_by_name(value):
        return {output: _check_output_loss(loss, pointer / output) for output, loss in _first(value)}
    if isinstance(value, list):
        return [_check_output_loss(loss, pointer / i) for i, loss in enumerate(value[: MAX_OBJECTS + 1])]
    return check_object(value, "losses", pointer)


def _first(by_output: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return as many items as a job may have, and one more, which the parser refuses."""
    return islice(by_output.items(), MAX_OBJECTS + 1)


def _check_output_loss(value: Any, pointer: Pointer) -> Any:
    """Return the loss of one output; None if the output is not trained."""
    return None if value is None else check_object(value, "losses", pointer)


def _check_metrics(value: Any, pointer: Pointer) -> Any:
    if value and is_by_name(value):
        return {output: _check_metrics_of_output(metrics, pointer / output) for output, metrics in _first(value)}
    if isinstance(value, list) and any(item is None or isinstance(item, list) for item in value):
        # What null means depends on the number of outputs: see `by_order.py`.
        entries = enumerate(value[: MAX_OBJECTS + 1])
        return [None if item is None else _check_metrics_of_output(item, pointer / i) for i, item in entries]
    return _check_list(value, _check_metric, pointer) if isinstance(value, list) else value


def _check_metrics_of_output(value: Any, pointer: Pointer) -> list[Any]:
    """Return a list also for a single metric, which Keras accepts without a list around it."""
    if value is None:
        return []
    return _check_list(value, _check_metric, pointer) if isinstance(value, list) else [_check_metric(value, pointer)]


_RESERVED_NAMES: Final = (*COUNTERS, "loss", "learning_rate")
"""What Keras and its callbacks log."""


def _check_metric(value: Any, pointer: Pointer) -> Any:
    metric = check_object(value, "metrics", pointer)
    if isinstance(metric, dict) and metric["config"].get("name") in _RESERVED_NAMES:
        (pointer / "config" / "name").add_fault(
            FaultCode.BAD_NAME,
            "A metric with this name would hide another value of each epoch.",
            received=metric["config"]["name"],
            expected="a name other than " + listed(_RESERVED_NAMES),
        )
    return metric


def _check_callback(value: Any, pointer: Pointer) -> Any:
    return check_object(value, "callbacks", pointer)


def _check_list(values: list[Any], check: Callable[[Any, Pointer], Any], pointer: Pointer) -> list[Any]:
    # One more than the maximum is enough for the list to be reported as too long.
    return [check(value, pointer / i) for i, value in enumerate(values[: MAX_OBJECTS + 1])]
