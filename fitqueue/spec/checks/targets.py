"""Check the targets of one output against its loss and against what the model outputs.

Keras itself checks whether the shapes agree. These checks find what it accepts although it fails at a later batch or
means something else.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.checks.ranges import Range, ranges_before
from fitqueue.spec.fields.data import PrepareStep
from fitqueue.spec.fields.training import KerasObject
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer
from fitqueue.spec.keras_objects.naming import snake_case

Shape = Sequence[int | None]

_SPARSE: Final = "sparse_categorical_crossentropy"
_CATEGORICAL: Final = "categorical_crossentropy"
_CLASSIFICATION_LOSSES: Final = {_SPARSE, _CATEGORICAL, "categorical_focal_crossentropy"}
_BINARY_LOSSES: Final = {"binary_crossentropy", "binary_focal_crossentropy"}
# The values that the targets of a loss may have.
_TARGET_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    **dict.fromkeys(_BINARY_LOSSES, (0, 1)),
    **dict.fromkeys([_CATEGORICAL, "categorical_focal_crossentropy", "dice", "tversky", "kl_divergence"], (0, 1)),
    **dict.fromkeys(["hinge", "squared_hinge", "categorical_hinge"], (-1, 1)),
    **dict.fromkeys(["poisson", "mean_squared_logarithmic_error"], (0, math.inf)),
}
# A factor such as 0.00392157 maps 255 to a little more than 1.
_ROUNDING: Final = 1e-3
# The activation that turns logits into probabilities, for each loss that takes either.
_PROBABILITY_ACTIVATIONS: Final = {
    **dict.fromkeys(_CLASSIFICATION_LOSSES, "softmax"),
    **dict.fromkeys(_BINARY_LOSSES, "sigmoid"),
}
# Names of losses that Keras accepts beside that of their function.
_ALIASES: Final = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "msle": "mean_squared_logarithmic_error",
}
# Names for which Keras chooses a loss by the shapes of targets and outputs.
_CHOSEN_BY_SHAPE: Final = {"crossentropy", "ce"}


@dataclass(frozen=True)
class Output:
    """One output of the model: its shape for one sample, and the name of the last activation before it."""

    shape: Shape
    activation: str


@dataclass(frozen=True)
class Targets:
    """The targets of one output.

    Attributes:
        info: the prepared array.
        steps: the steps that prepared it.
        stored: the range of the stored values; None if it is not known before training.
        labels_per_sample: the most ones in a row, if they are stored as rows of zeros and ones; None otherwise.
    """

    info: ArrayInfo
    steps: Sequence[PrepareStep]
    stored: Range | None
    labels_per_sample: int | None = None

    @property
    def shape(self) -> Shape:
        """The shape of one target."""
        return self.info.shape[1:]

    @property
    def values(self) -> Range | None:
        """The range of the prepared targets; None if it is unknown."""
        return ranges_before(self.stored, self.steps)[-1]

    @property
    def labels(self) -> Range | None:
        """The range of the prepared targets if all of them are integers, as labels are; None otherwise."""
        return self.values if self.values is not None and self.values.integral else None


@dataclass(frozen=True)
class TargetPointers:
    """Pointers to what the job says about the targets: their steps, their loss, and the units of the output."""

    prepare: Pointer
    loss: Pointer
    units: Pointer


def loss_name(loss: str | KerasObject, targets: Shape, outputs: Shape) -> str:
    """Return the name of the loss's function, which for some names depends on the shapes."""
    name = snake_case(loss.class_name if isinstance(loss, KerasObject) else loss)
    if name not in _CHOSEN_BY_SHAPE:
        return _ALIASES.get(name, name)
    if outputs[-1:] == [1]:
        return "binary_crossentropy"
    # This is how Keras distinguishes the two; its shapes also have the axis of samples.
    is_sparse = len(targets) < len(outputs) or (bool(targets) and targets[-1] == 1)
    return _SPARSE if is_sparse else _CATEGORICAL


def advice(loss: str | KerasObject, targets: Shape, outputs: Shape) -> str:
    """Return a sentence on what was probably meant, if the loss is not for targets of this shape; empty otherwise."""
    name = loss_name(loss, list(targets), list(outputs))
    width = outputs[-1] if outputs else None
    are_labels = len(targets) < len(outputs) or (len(targets) == len(outputs) and targets[-1:] == [1])
    if name == _CATEGORICAL and are_labels:
        return (
            f" The targets are labels: use the loss {_SPARSE!r}, or turn them into rows with a step "
            f'{{"one_hot": {width}}} in data.prepare.y.'
        )
    if name == _SPARSE and list(targets) == list(outputs):
        return f" The targets are rows and not labels: use the loss {_CATEGORICAL!r}."
    return ""


def check_targets(targets: Targets, loss: str | KerasObject | None, output: Output, pointers: TargetPointers) -> None:
    """Check the targets of one output; the loss is None if it is faulty."""
    check_one_hot(targets, pointers.prepare)
    if loss is None or not output.shape:
        return
    name = loss_name(loss, list(targets.shape), list(output.shape))
    if name == _SPARSE:
        _check_sparse(targets, loss, output, pointers)
    _warn_about_activation(loss, name, output, pointers.loss)
    _warn_about_several_labels(targets, output, pointers.loss)
    _warn_about_values(name, targets, pointers.loss)
    _warn_about_broadcast(name, targets.shape, output, pointers.loss)


def check_one_hot(targets: Targets, pointer: Pointer) -> None:
    """Report each step `one_hot` that gets labels it has no place for."""
    for i, (step, labels) in enumerate(zip(targets.steps, ranges_before(targets.stored, targets.steps), strict=False)):
        if step.one_hot is None or labels is None or not labels.integral:
            continue
        if not 0 <= labels.low <= labels.high < step.one_hot:
            (pointer / i / "one_hot").add_fault(
                FaultCode.OUT_OF_RANGE,
                f"The labels go from {labels}, but this step accepts 0 to {step.one_hot - 1}.",
                received=step.one_hot,
                expected=f"at least {labels.high + 1:.10g}" if labels.low >= 0 else "labels that count from 0",
            )


def _check_sparse(targets: Targets, loss: str | KerasObject, output: Output, pointers: TargetPointers) -> None:
    width, labels = output.shape[-1], targets.labels
    if labels is None:
        if targets.info.dtype.startswith("float"):
            pointers.loss.add_notice(
                NoticeCode.SUSPICIOUS,
                f"The loss {_SPARSE!r} reads the targets as labels. They have the dtype {targets.info.dtype} and are "
                "rounded down.",
            )
    elif width is not None and not 0 <= labels.low <= labels.high < width and not _ignores_class(loss):
        pointers.units.add_fault(
            FaultCode.BAD_TARGETS,
            f"The labels go from {labels}, but the model outputs {width} numbers, for the classes 0 to {width - 1}.",
            received=width,
            expected=f"{labels.high + 1:.10g} units" if labels.low >= 0 else "labels that count from 0",
        )


def _ignores_class(loss: object) -> bool:
    return isinstance(loss, KerasObject) and loss.config.get("ignore_class") is not None


def _warn_about_activation(loss: str | KerasObject, name: str, output: Output, pointer: Pointer) -> None:
    activation = _PROBABILITY_ACTIVATIONS.get(name)
    if activation is None:
        return
    from_logits = isinstance(loss, KerasObject) and bool(loss.config.get("from_logits"))
    if from_logits and output.activation in ("softmax", "sigmoid"):
        message = f"from_logits is true, but the output already has the activation {output.activation}."
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)
    elif not from_logits and output.activation in ("linear", "relu", "tanh"):
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            f"The loss {name!r} expects probabilities, but the activation of the output is {output.activation}: give "
            f"the last layer the activation {activation!r}, or set from_logits in the loss.",
        )
    elif output.activation == "softmax" and output.shape[-1] == 1:
        message = "A softmax over a single number is always 1, so nothing can be learned."
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)


def _warn_about_several_labels(targets: Targets, output: Output, pointer: Pointer) -> None:
    if output.activation == "softmax" and targets.labels_per_sample is not None and targets.labels_per_sample > 1:
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            f"A sample has up to {targets.labels_per_sample} labels, and the numbers of a softmax add up to 1: give "
            "the last layer the activation 'sigmoid', and the loss 'binary_crossentropy'.",
        )


def _warn_about_values(name: str, targets: Targets, pointer: Pointer) -> None:
    """Add a notice if a loss gets targets that it has no meaning for, on either side."""
    values, (low, high) = targets.values, _TARGET_BOUNDS.get(name, (-math.inf, math.inf))
    if values is None or low - _ROUNDING <= values.low <= values.high <= high + _ROUNDING:
        return
    if name in _BINARY_LOSSES and targets.labels is not None:
        message = f"The loss {name!r} is for two classes, 0 and 1, but the labels go from {values}."
    elif high == math.inf:
        message = f"The loss {name!r} is for targets of {low:g} or more, but they go from {values}."
    else:
        message = f"The loss {name!r} is for targets from {low:g} to {high:g}, but they go from {values}."
    pointer.add_notice(NoticeCode.SUSPICIOUS, message)


def _warn_about_broadcast(name: str, targets: Shape, output: Output, pointer: Pointer) -> None:
    """Add a notice if targets and outputs are broadcast: equal ranks, and lengths that differ only where one is 1."""
    differing = [pair for pair in zip(targets, output.shape, strict=False) if None not in pair and len(set(pair)) > 1]
    if name != _SPARSE and len(targets) == len(output.shape) and differing and all(1 in pair for pair in differing):
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            f"Targets of shape {list(targets)} are broadcast against outputs of shape {list(output.shape)}: one is "
            "compared with several of the other.",
        )
