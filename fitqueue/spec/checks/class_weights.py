"""Check `class_weight` of `fit`: against the outputs of the model, and against the targets of each output."""

from collections.abc import Mapping, Sequence

from fitqueue.spec.checks.ranges import Range
from fitqueue.spec.checks.targets import Targets
from fitqueue.spec.fields.class_weight import (
    ClassWeight,
    OutputClassWeight,
    Shape,
    has_class_axis,
    is_by_output,
    label_shape,
    product_shape,
)
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer, did_you_mean, listed, quoted


def check_outputs(class_weight: ClassWeight | None, outputs: Sequence[str] | None, pointer: Pointer) -> None:
    """Check that class weights are for outputs of the model.

    Args:
        outputs: their names; empty for a single output without one, None if they are unknown.
    """
    if class_weight is None or outputs is None:
        return
    if isinstance(class_weight, Mapping) and is_by_output(class_weight):
        _check_names(class_weight, outputs, pointer)
    elif len(outputs) > 1:
        pointer.add_fault(
            FaultCode.CONFLICT,
            f"The model has the outputs {listed(outputs)}: give the class weights of each output under its name, or an "
            "array as `data.sample_weight` of an output.",
            class_weight,
            expected=f'an object such as {{"{outputs[0]}": {{"0": 1, "1": 2}}}}',
        )


def _check_names(names: Mapping[str, object], outputs: Sequence[str], pointer: Pointer) -> None:
    if not outputs:
        pointer.add_fault(
            FaultCode.UNKNOWN_NAME,
            "The only output of the model has no name: give its class weights without one.",
            received=list(names),
            expected='"balanced", or an object such as {"0": 1, "1": 2}',
        )
        return
    for name in names:
        if name not in outputs:
            (pointer / name).add_fault(
                FaultCode.UNKNOWN_NAME,
                f"The model has no output {quoted(name)}." + did_you_mean(name, outputs),
                received=name,
                expected=f"one of {listed(outputs)}",
            )


def check_classes(weights: OutputClassWeight, targets: Targets, outputs: Shape, pointer: Pointer) -> None:
    """Check the class weights of one output, which has this shape, against its targets."""
    for name, weight in _by_class(weights).items():
        if weight < 0:
            message = "With a negative weight, the model learns to get this class wrong."
            (pointer / name).add_notice(NoticeCode.SUSPICIOUS, message)
    if targets.values is not None and not targets.values.integral:
        message = "The targets are not labels: they are rounded to find their class."
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)
    elif (classes := _classes(targets, outputs)) is not None:
        for name in _by_class(weights):
            if not classes.low <= int(name) <= classes.high:
                message = f"No target has this class: they go from {classes}."
                (pointer / name).add_notice(NoticeCode.SUSPICIOUS, message)


def check_product(sample_weights: Shape, targets: Targets, outputs: Shape, pointer: Pointer) -> Shape | None:
    """Return the shape of the products of sample weights and class weights; report it if they have none."""
    labels = label_shape(targets.shape, outputs)
    product = product_shape(sample_weights, labels)
    if product is None:
        pointer.add_fault(
            FaultCode.BAD_SHAPE,
            f"A sample has sample weights of shape {list(sample_weights)} and labels of shape {list(labels)}: they "
            "cannot be multiplied.",
            received=list(sample_weights),
            expected=f"one sample weight for each sample, or weights of shape {list(labels)}",
        )
    return product


def _by_class(weights: OutputClassWeight) -> Mapping[str, float]:
    return weights if isinstance(weights, Mapping) else {}


def _classes(targets: Targets, outputs: Shape) -> Range | None:
    width = targets.shape[-1] if has_class_axis(targets.shape, outputs) else 1
    return targets.labels if width in (1, None) else Range(0, width - 1)
