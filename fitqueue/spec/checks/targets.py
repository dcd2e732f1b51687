"""Check the targets of one output against its loss, and against what the output puts out.

Whether shapes fit is Keras's to say; here is what it lets pass, though it fails at some batch or means something else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.checks.ranges import Range, ranges_before
from fitqueue.spec.data import PrepareStep
from fitqueue.spec.keras_objects.naming import snake_case
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer
from fitqueue.spec.training import KerasObject

Shape = Sequence[int | None]

_SPARSE: Final = "sparse_categorical_crossentropy"
_CATEGORICAL: Final = "categorical_crossentropy"
_CLASSIFYING: Final = {_SPARSE, _CATEGORICAL, "categorical_focal_crossentropy"}
_BINARY: Final = {"binary_crossentropy", "binary_focal_crossentropy"}
# What makes probabilities of logits, by the loss that takes either.
_PROBABILITIES: Final = {**dict.fromkeys(_CLASSIFYING, "softmax"), **dict.fromkeys(_BINARY, "sigmoid")}
# Names that Keras has for a loss beside that of its function.
_ALIASES: Final = {"bce": "binary_crossentropy"}
_BY_SHAPE: Final = {"crossentropy", "ce"}


@dataclass(frozen=True)
class Output:
    """What the model puts out for a sample: its shape, and the name of the last activation."""

    shape: Shape
    activation: str


@dataclass(frozen=True)
class Targets:
    """The targets of one output: prepared, and the steps that did it; `stored` is the range of what they started from.

    `stored` is None where it is not known before training.
    """

    info: ArrayInfo
    steps: Sequence[PrepareStep]
    stored: Range | None

    @property
    def shape(self) -> Shape:
        return self.info.shape[1:]

    @property
    def values(self) -> Range | None:
        """Where the targets lie that the loss sees, if that is known."""
        return ranges_before(self.stored, self.steps)[-1]

    @property
    def labels(self) -> Range | None:
        """The same, where all of them are whole numbers, as labels are."""
        return self.values if self.values is not None and self.values.whole else None


@dataclass(frozen=True)
class Places:
    """Where the job says what is compared: the steps of the targets, the loss, and the width of the output."""

    prepare: Pointer
    loss: Pointer
    width: Pointer


def loss_name(loss: str | KerasObject, targets: Shape, outputs: Shape) -> str:
    """The loss under the name of its function. One of Keras's names means this or that, by the shapes that it finds."""
    name = snake_case(loss.class_name if isinstance(loss, KerasObject) else loss)
    if name not in _BY_SHAPE:
        return _ALIASES.get(name, name)
    if outputs[-1:] == [1]:
        return "binary_crossentropy"
    # As Keras tells them apart: the axis of samples is there in both.
    sparse = len(targets) < len(outputs) or (bool(targets) and targets[-1] == 1)
    return _SPARSE if sparse else _CATEGORICAL


def advice(loss: str | KerasObject, targets: Shape, outputs: Shape) -> str:
    """What probably was meant where the loss does not take these targets."""
    name = loss_name(loss, list(targets), list(outputs))
    width = outputs[-1] if outputs else None
    labels = len(targets) < len(outputs) or (len(targets) == len(outputs) and targets[-1:] == [1])
    if name == _CATEGORICAL and labels:
        return (
            f" The targets are labels: use the loss {_SPARSE!r}, or make them rows by a step "
            f'{{"one_hot": {width}}} in data.prepare.y.'
        )
    if name == _SPARSE and list(targets) == list(outputs):
        return f" The targets are rows, not labels: use the loss {_CATEGORICAL!r}."
    return ""


def check_targets(targets: Targets, loss: str | KerasObject | None, output: Output, at: Places) -> None:
    check_one_hot(targets, at.prepare)
    if loss is None or not output.shape:
        return
    name = loss_name(loss, list(targets.shape), list(output.shape))
    if name == _SPARSE:
        _check_sparse(targets, loss, output, at)
    _suspect_activation(loss, name, output, at.loss)
    _suspect_labels(name, targets.labels, at.loss)
    _suspect_broadcast(name, targets.shape, output, at.loss)


def check_one_hot(targets: Targets, at: Pointer) -> None:
    for i, (step, labels) in enumerate(zip(targets.steps, ranges_before(targets.stored, targets.steps), strict=False)):
        if step.one_hot is None or labels is None or not labels.whole:
            continue
        if not 0 <= labels.low <= labels.high < step.one_hot:
            (at / i / "one_hot").fault(
                FaultCode.OUT_OF_RANGE,
                f"The labels go from {labels}; one_hot takes 0 to {step.one_hot - 1}.",
                received=step.one_hot,
                expected=f"at least {labels.high + 1:.10g}" if labels.low >= 0 else "labels from 0 on",
            )


def _check_sparse(targets: Targets, loss: str | KerasObject, output: Output, at: Places) -> None:
    width, labels = output.shape[-1], targets.labels
    if labels is None:
        if targets.info.dtype.startswith("float"):
            at.loss.notice(
                NoticeCode.SUSPICIOUS,
                f"The loss {_SPARSE!r} reads the targets as labels; theirs is the type {targets.info.dtype}, rounded "
                "down.",
            )
    elif width is not None and not 0 <= labels.low <= labels.high < width and not _ignores_class(loss):
        at.width.fault(
            FaultCode.BAD_TARGETS,
            f"The labels go from {labels}, and the model puts out {width} numbers, for the classes 0 to {width - 1}.",
            received=width,
            expected=f"{labels.high + 1:.10g} units" if labels.low >= 0 else "labels from 0 on",
        )


def _ignores_class(loss: object) -> bool:
    return isinstance(loss, KerasObject) and loss.config.get("ignore_class") is not None


def _suspect_activation(loss: str | KerasObject, name: str, output: Output, at: Pointer) -> None:
    wanted = _PROBABILITIES.get(name)
    if wanted is None:
        return
    logits = isinstance(loss, KerasObject) and bool(loss.config.get("from_logits"))
    if logits and output.activation in ("softmax", "sigmoid"):
        at.notice(NoticeCode.SUSPICIOUS, f"from_logits is true, and the output is made by {output.activation} already.")
    elif not logits and output.activation in ("linear", "relu", "tanh"):
        at.notice(
            NoticeCode.SUSPICIOUS,
            f"The loss {name!r} expects probabilities, and the output's activation is {output.activation}: give the "
            f"last layer {wanted!r}, or the loss from_logits.",
        )
    elif output.activation == "softmax" and output.shape[-1] == 1:
        at.notice(NoticeCode.SUSPICIOUS, "A softmax over one number is always 1: nothing can be learned.")


def _suspect_labels(name: str, labels: Range | None, at: Pointer) -> None:
    if name in _BINARY and labels is not None and labels.high > 1:
        at.notice(
            NoticeCode.SUSPICIOUS,
            f"The loss {name!r} tells two classes apart, and the labels go from {labels}.",
        )


def _suspect_broadcast(name: str, targets: Shape, output: Output, at: Pointer) -> None:
    """Where ranks are equal and one length is 1, NumPy's rule compares each number with the same target."""
    differing = [pair for pair in zip(targets, output.shape, strict=False) if None not in pair and len(set(pair)) > 1]
    if name != _SPARSE and len(targets) == len(output.shape) and differing and all(1 in pair for pair in differing):
        at.notice(
            NoticeCode.SUSPICIOUS,
            f"Targets of shape {list(targets)} are compared with outputs of shape {list(output.shape)}: each target "
            "with several outputs, or the other way about.",
        )


# --- Weights of classes --------------------------------------------------------------------------------------------


def check_class_weight(weights: Mapping[str, float], targets: Targets, at: Pointer) -> None:
    """Keras looks up the class of each sample: its target, or the place of the highest in a row."""
    if len(targets.shape) > 1:
        at.fault(
            FaultCode.BAD_TARGETS,
            f"Keras finds no class in targets of shape {list(targets.shape)}: a sample has one label, or one row.",
            received=dict(weights),
            expected="an array as `data.sample_weight`, with a weight for each target",
        )
        return
    for name, weight in weights.items():
        if weight < 0:
            (at / name).notice(NoticeCode.SUSPICIOUS, "A class of negative weight is learned to be got wrong.")
    if targets.values is not None and not targets.values.whole:
        at.notice(NoticeCode.SUSPICIOUS, "The targets are no labels: Keras rounds them to find their class.")
    elif (classes := _classes(targets)) is not None:
        for name in weights:
            if not classes.low <= int(name) <= classes.high:
                (at / name).notice(NoticeCode.SUSPICIOUS, f"No target is of this class: they go from {classes}.")


def _classes(targets: Targets) -> Range | None:
    width = targets.shape[-1] if targets.shape else 1
    return targets.labels if width in (1, None) else Range(0, width - 1)
