"""What a job says by the names of its model's inputs and outputs: arrays, losses, metrics, factors of losses.

Keras pairs some of it by order where the names differ, and looks at others after the first batch only. What it trains
in spite of a name that means nothing gets a notice, unless it would be paired with something else.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fitqueue.spec.data import DataSpec
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.graph import is_input, places_in
from fitqueue.spec.partial import PartialCompile, PartialLosses, PartialMetrics
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer, did_you_mean, listed
from fitqueue.spec.training import Factors, KerasObject


@dataclass(frozen=True)
class IONames:
    """Names of a model's inputs, and of its outputs. Empty: there is one, without a name. None: only Keras knows."""

    inputs: Sequence[str] | None
    outputs: Sequence[str] | None
    keyed: bool = False
    """Whether the outputs are an object, not a list: Keras then does without a loss for some of them."""


def io_names(model: KerasObject) -> IONames:
    config = model.config
    if catalogue.is_application(model.class_name):
        return IONames(None, None)
    if model.class_name == "Sequential":
        return IONames(_inputs_of_sequence(config["layers"][0]), ())
    outputs = config["output_layers"]
    return IONames(_names(config["input_layers"]), _names(outputs), isinstance(outputs, dict))


def _inputs_of_sequence(first: Mapping[str, Any]) -> Sequence[str] | None:
    if first["class_name"] in catalogue.MODELS or catalogue.is_application(first["class_name"]):
        return None  # it takes what the model in front takes
    name = first["config"].get("name")
    return (name,) if is_input(dict(first)) and name else ()


def _names(ends: Any) -> list[str]:
    return [key if isinstance(key, str) else str(place[0]) for key, place in places_in(ends).items()]


def check_arrays(data: DataSpec, ends: IONames, at: Pointer) -> None:
    """Each input of the model has an array, and each of its outputs."""
    if ends.inputs is not None:
        _check_inputs(data.x, ends.inputs, at / "x")
    if ends.outputs is not None:
        _check_targets(data.y, ends.outputs, at / "y")


def _check_inputs(x: str | Mapping[str, str], inputs: Sequence[str], at: Pointer) -> None:
    if isinstance(x, str):
        if len(inputs) > 1:
            at.fault(
                FaultCode.BAD_SHAPE,
                f"The model has {len(inputs)} inputs, and the job has one array for them.",
                received=x,
                expected=f"an object with an array for each of {listed(inputs)}",
            )
    elif not inputs:
        _fault_nameless("input", "array", x, at)
    elif set(inputs) <= set(x):
        for name in _others(x, inputs):
            message = f"The model has no input {name[:64]!r}: the array goes nowhere."
            (at / name).notice(NoticeCode.SUSPICIOUS, message + did_you_mean(name, inputs))
    else:
        _compare("input", "array", x, inputs, at)


def _check_targets(y: str | Mapping[str, str], outputs: Sequence[str], at: Pointer) -> None:
    if isinstance(y, str):
        if len(outputs) > 1:
            at.fault(
                FaultCode.BAD_TARGETS,
                f"The model has {len(outputs)} outputs, and the job has one array of targets for them.",
                received=y,
                expected=f"an object with an array for each of {listed(outputs)}",
            )
    elif not outputs:
        _fault_nameless("output", "array", y, at)
    else:
        _compare("output", "array", y, outputs, at)


def _compare(what: str, wanted: str, given: Collection[str], names: Sequence[str], at: Pointer) -> None:
    """A fault for each name that is none of the model's, and for each of the model's that is not given."""
    for name in _others(given, names):
        _fault_unknown(what, name, names, at / name)
    for name in _others(names, given):
        at.fault(
            FaultCode.MISSING,
            f"There is no {wanted} for the {what} {name[:64]!r}.",
            received=list(given),
            expected=f"the {wanted} of each {what}: {listed(names)}",
        )


def _others(given: Iterable[str], names: Collection[str]) -> list[str]:
    return [name for name in dict.fromkeys(given) if name not in names]


def _fault_unknown(what: str, name: str, names: Sequence[str], at: Pointer) -> None:
    at.fault(
        FaultCode.UNKNOWN_NAME,
        f"The model has no {what} {name[:64]!r}." + did_you_mean(name, names),
        received=name,
        expected=f"one of {listed(names)}",
    )


def _fault_nameless(end: str, what: str, given: Iterable[str], at: Pointer) -> None:
    at.fault(
        FaultCode.UNKNOWN_NAME,
        f"The only {end} of the model has no name that Keras would find: give its {what} without one.",
        received=list(given),
        expected=f"one {what}",
    )


# --- Losses, metrics and factors -----------------------------------------------------------------------------------


def check_compile(compiled: PartialCompile, ends: IONames, at: Pointer) -> None:
    if ends.outputs is None:
        return
    _check_loss(compiled.loss, ends, at / "loss")
    _check_metrics(compiled.metrics, ends, at / "metrics")
    _check_metrics(compiled.weighted_metrics, ends, at / "weighted_metrics")
    _check_loss_weights(compiled.loss_weights, compiled.loss, ends, at / "loss_weights")


def _check_loss(loss: PartialLosses, ends: IONames, at: Pointer) -> None:
    if not isinstance(loss, Mapping) or ends.outputs is None:
        return
    if not ends.outputs:
        _fault_nameless("output", "loss", loss, at)
    elif ends.keyed:
        for name in _others(loss, ends.outputs):
            _fault_unknown("output", name, ends.outputs, at / name)
    else:
        _compare("output", "loss", loss, ends.outputs, at)


def _check_metrics(metrics: PartialMetrics, ends: IONames, at: Pointer) -> None:
    outputs = ends.outputs
    if outputs is None:
        return
    if isinstance(metrics, Mapping):
        for name in _others(metrics, outputs):
            if len(outputs) > 1:
                _fault_unknown("output", name, outputs, at / name)
            elif outputs:
                message = f"The model has no output {name[:64]!r}; its only one is measured, {outputs[0]!r}."
                (at / name).notice(NoticeCode.SUSPICIOUS, message)
    elif metrics and len(outputs) > 1:
        at.fault(
            FaultCode.WRONG_TYPE,
            f"The model has the outputs {listed(outputs)}: say which metrics are whose.",
            expected=f'an object such as {{"{outputs[0]}": […]}}',
        )


def _check_loss_weights(weights: Factors | None, loss: PartialLosses, ends: IONames, at: Pointer) -> None:
    """Each factor belongs to a loss. Keras pairs them by order where the names differ."""
    if isinstance(loss, Mapping):
        _check_weights_by_name(weights, list(loss), at)
    elif isinstance(weights, Mapping):
        _check_weights_of_one_loss(weights, ends.outputs or (), at)


def _check_weights_by_name(weights: Factors | None, losses: Sequence[str], at: Pointer) -> None:
    if isinstance(weights, Mapping):
        _compare("loss", "factor", weights, losses, at)
    elif weights is not None and len(losses) > 1:
        at.fault(
            FaultCode.WRONG_TYPE,
            f"There are {len(losses)} losses, and one factor for them.",
            received=weights,
            expected=f"an object with a factor for each of {listed(losses)}",
        )


def _check_weights_of_one_loss(weights: Mapping[str, float], outputs: Sequence[str], at: Pointer) -> None:
    if len(weights) != 1:
        at.fault(
            FaultCode.CONFLICT,
            f"One loss takes one factor, and these are {len(weights)}.",
            received=dict(weights),
            expected="a number; or a loss for each output, in an object, and a factor for each",
        )
        return
    [name] = weights
    if len(outputs) > 1:
        at.notice(NoticeCode.SUSPICIOUS, "There is one loss for all outputs, so all are multiplied by this one factor.")
    elif outputs and name not in outputs:
        message = f"The model has no output {name[:64]!r}; the loss of its only one is multiplied, {outputs[0]!r}."
        (at / name).notice(NoticeCode.SUSPICIOUS, message)
