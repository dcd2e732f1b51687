"""Check what a job gives by the names of its model's inputs and outputs: arrays, losses, metrics and loss weights.

Where names differ, Keras pairs some of these by order, and checks others only after the first batch. An unknown name
that Keras would ignore gets a notice; a fault, if Keras would pair it with something else.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fitqueue.spec.fields.data import DataSpec
from fitqueue.spec.fields.partial import PartialCompile, PartialLosses, PartialMetrics
from fitqueue.spec.fields.training import KerasObject, LossWeights
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer, did_you_mean, listed, quoted
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.graph import histories_by_key, is_input


@dataclass(frozen=True)
class IONames:
    """The names of a model's inputs and of its outputs.

    An empty sequence stands for a single input or output without a name. None: only Keras knows the names.

    Attributes:
        keyed: whether the outputs are an object and not a list; some of them may then have no loss.
    """

    inputs: Sequence[str] | None
    outputs: Sequence[str] | None
    keyed: bool = False


def io_names(model: KerasObject) -> IONames:
    """Return the names of the model's inputs and outputs."""
    config = model.config
    if catalogue.is_application(model.class_name):
        return IONames(None, None)
    if model.class_name == "Sequential":
        return IONames(_input_of_sequential(config["layers"][0]), ())
    outputs = config["output_layers"]
    return IONames(_names(config["input_layers"]), _names(outputs), isinstance(outputs, dict))


def _input_of_sequential(first_layer: Mapping[str, Any]) -> Sequence[str] | None:
    if first_layer["class_name"] in catalogue.MODELS or catalogue.is_application(first_layer["class_name"]):
        return None  # its inputs are those of the model in front
    name = first_layer["config"].get("name")
    return (name,) if is_input(dict(first_layer)) and name else ()


def _names(tensors: Any) -> list[str]:
    by_key = histories_by_key(tensors)
    return [key if isinstance(key, str) else str(history[0]) for key, history in by_key.items()]


# --- Arrays --------------------------------------------------------------------------------------------------------


def check_arrays(data: DataSpec, names: IONames, pointer: Pointer) -> None:
    """Check that each input and each output of the model has an array."""
    if names.inputs is not None:
        _check_inputs(data.x, names.inputs, pointer / "x")
    if names.outputs is not None:
        _check_targets(data.y, names.outputs, pointer / "y")


def _check_inputs(x: str | Mapping[str, str], inputs: Sequence[str], pointer: Pointer) -> None:
    if isinstance(x, str):
        if len(inputs) > 1:
            pointer.add_fault(
                FaultCode.BAD_SHAPE,
                f"The model has {len(inputs)} inputs, but the job has a single array for them.",
                received=x,
                expected=f"an object with an array for each of {listed(inputs)}",
            )
    elif not inputs:
        _report_nameless("input", "array", x, pointer)
    elif set(inputs) <= set(x):
        for name in _missing_from(inputs, x):
            message = f"The model has no input {quoted(name)}: the array is not used."
            (pointer / name).add_notice(NoticeCode.SUSPICIOUS, message + did_you_mean(name, inputs))
    else:
        _compare("input", "array", x, inputs, pointer)


def _check_targets(y: str | Mapping[str, str], outputs: Sequence[str], pointer: Pointer) -> None:
    if isinstance(y, str):
        if len(outputs) > 1:
            pointer.add_fault(
                FaultCode.BAD_TARGETS,
                f"The model has {len(outputs)} outputs, but the job has a single array of targets for them.",
                received=y,
                expected=f"an object with an array for each of {listed(outputs)}",
            )
    elif not outputs:
        _report_nameless("output", "array", y, pointer)
    else:
        _compare("output", "array", y, outputs, pointer)


# --- Names ---------------------------------------------------------------------------------------------------------


def _compare(what: str, value: str, given: Collection[str], names: Sequence[str], pointer: Pointer) -> None:
    """Report each given name that the model does not have, and each name of the model that is not given.

    Args:
        what: what the names stand for, such as "output".
        value: what is given for each name, such as "array".
    """
    for name in _missing_from(names, given):
        _report_unknown(what, name, names, pointer / name)
    for name in _missing_from(given, names):
        pointer.add_fault(
            FaultCode.MISSING,
            f"There is no {value} for the {what} {quoted(name)}.",
            received=list(given),
            expected=f"the {value} for each {what}: {listed(names)}",
        )


def _missing_from(known: Collection[str], names: Iterable[str]) -> list[str]:
    """Return the names that are not among the known ones."""
    return [name for name in dict.fromkeys(names) if name not in known]


def _report_unknown(what: str, name: str, names: Sequence[str], pointer: Pointer) -> None:
    pointer.add_fault(
        FaultCode.UNKNOWN_NAME,
        f"The model has no {what} {quoted(name)}." + did_you_mean(name, names),
        received=name,
        expected=f"one of {listed(names)}",
    )


def _report_nameless(what: str, value: str, given: Iterable[str], pointer: Pointer) -> None:
    pointer.add_fault(
        FaultCode.UNKNOWN_NAME,
        f"The only {what} of the model has no name: give its {value} without one.",
        received=list(given),
        expected=f"one {value}",
    )


# --- Losses, metrics and loss weights ------------------------------------------------------------------------------


def check_compile(compiled: PartialCompile, names: IONames, pointer: Pointer) -> None:
    """Check losses, metrics and loss weights against the outputs of the model."""
    if names.outputs is None:
        return
    _check_loss(compiled.loss, names.outputs, pointer / "loss", keyed=names.keyed, complete=compiled.loss_is_complete)
    _check_metrics(compiled.metrics, names.outputs, pointer / "metrics")
    _check_metrics(compiled.weighted_metrics, names.outputs, pointer / "weighted_metrics")
    _check_loss_weights(compiled.loss_weights, compiled.loss, names.outputs, pointer / "loss_weights")


def _check_loss(loss: PartialLosses, outputs: Sequence[str], pointer: Pointer, *, keyed: bool, complete: bool) -> None:
    if not isinstance(loss, Mapping):
        return
    if complete and loss and all(of_output is None for of_output in loss.values()):
        pointer.add_fault(FaultCode.MISSING, "No output has a loss, so nothing is trained.", dict(loss), "a loss")
    if not outputs:
        _report_nameless("output", "loss", loss, pointer)
    elif keyed:
        for name in _missing_from(outputs, loss):
            _report_unknown("output", name, outputs, pointer / name)
    else:
        _compare("output", "loss", loss, outputs, pointer)


def _check_metrics(metrics: PartialMetrics, outputs: Sequence[str], pointer: Pointer) -> None:
    if isinstance(metrics, Mapping):
        for name in _missing_from(outputs, metrics):
            if len(outputs) > 1:
                _report_unknown("output", name, outputs, pointer / name)
            elif outputs:
                message = (
                    f"The model has no output {quoted(name)}; the metrics are those of its only output, {outputs[0]!r}."
                )
                (pointer / name).add_notice(NoticeCode.SUSPICIOUS, message)
    elif any(metric is not None for metric in metrics) and len(outputs) > 1:
        pointer.add_fault(
            FaultCode.WRONG_TYPE,
            f"The model has the outputs {listed(outputs)}: give the metrics of each output under its name.",
            expected=f'an object such as {{"{outputs[0]}": […]}}',
        )


def _check_loss_weights(
    weights: LossWeights | None, loss: PartialLosses, outputs: Sequence[str], pointer: Pointer
) -> None:
    """Check that each weight belongs to a loss. Keras pairs them by order if the names differ."""
    if isinstance(loss, Mapping):
        _check_weights_by_name(weights, list(loss), pointer)
    elif isinstance(weights, Mapping) and loss is not None:
        _check_weights_of_single_loss(weights, outputs, pointer)


def _check_weights_by_name(weights: LossWeights | None, losses: Sequence[str], pointer: Pointer) -> None:
    if isinstance(weights, Mapping):
        _compare("loss", "weight", weights, losses, pointer)
    elif weights is not None and len(losses) > 1:
        pointer.add_fault(
            FaultCode.WRONG_TYPE,
            f"There are {len(losses)} losses, but a single weight for them.",
            received=weights,
            expected=f"an object with a weight for each of {listed(losses)}",
        )


def _check_weights_of_single_loss(weights: Mapping[str, float], outputs: Sequence[str], pointer: Pointer) -> None:
    if len(weights) != 1:
        pointer.add_fault(
            FaultCode.CONFLICT,
            f"A single loss has a single weight, but {len(weights)} are given.",
            received=dict(weights),
            expected="a number, or an object with a loss for each output and another with a weight for each",
        )
        return
    [name] = weights
    if len(outputs) > 1:
        message = "There is a single loss for all outputs, so this weight applies to all of them."
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)
    elif outputs and name not in outputs:
        message = f"The model has no output {quoted(name)}; the weight applies to its only output, {outputs[0]!r}."
        (pointer / name).add_notice(NoticeCode.SUSPICIOUS, message)
