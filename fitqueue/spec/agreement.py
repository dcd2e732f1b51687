"""Check that the parts of a job agree where Keras says nothing, or says it too late.

A job that Keras trains, if not as it was meant, gets a notice; one that fails on the way gets a fault.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.checking import Array
from fitqueue.datasets import ArrayInfo
from fitqueue.spec.base import FaultCode, NoticeCode, Place
from fitqueue.spec.data import Part, PrepareStep, StepError, parts, prepared_shape
from fitqueue.spec.naming import snake_case
from fitqueue.spec.sound import SoundJob
from fitqueue.spec.training import KerasObject

Shape = Sequence[int | None]

_SPARSE: Final = "sparse_categorical_crossentropy"
_CATEGORICAL: Final = "categorical_crossentropy"
_CLASSIFYING: Final = {_SPARSE, _CATEGORICAL, "categorical_focal_crossentropy"}
_BINARY: Final = {"binary_crossentropy", "binary_focal_crossentropy"}
# What makes probabilities of logits, by the loss that takes either.
_PROBABILITIES: Final = {**dict.fromkeys(_CLASSIFYING, "softmax"), **dict.fromkeys(_BINARY, "sigmoid")}


@dataclass(frozen=True)
class Outputs:
    """What the model puts out for a sample: its shape, the name of the last activation, and the layer it comes from."""

    shape: Shape
    activation: str
    layer: str


@dataclass(frozen=True)
class Labels:
    """The targets as they are stored are whole numbers, from `low` to `high`."""

    low: int
    high: int


def size(array: Array) -> int:
    """Bytes; an axis of unknown length counts as one."""
    return 8 * math.prod(length or 1 for length in array.shape)


Prepared = Mapping[str | None, ArrayInfo]
"""Arrays as training sees them, under the names of the inputs or outputs they are for; None where there is but one."""


def prepared(wanted: Sequence[Part], arrays: Mapping[str, Array]) -> Prepared:
    """Without those that are faulty already."""
    found = {}
    for part in wanted:
        with suppress(StepError, KeyError):
            array = arrays[part.array]
            found[part.key] = prepared_shape(ArrayInfo(tuple(array.shape), array.dtype), part.steps)
    return found


def trained_samples(spec: SoundJob, x: ArrayInfo) -> int:
    """Samples that are left when `validation_split` has taken its share, as Keras cuts them."""
    assert spec.fit is not None
    return math.floor((x.shape[0] or 0) * (1 - spec.fit.validation_split))


def check_fit(spec: SoundJob, x: Prepared, at: Place) -> None:
    first = next(iter(x.values()), None)
    if spec.fit is None or first is None or first.shape[0] is None:
        return
    samples, trained = first.shape[0], trained_samples(spec, first)
    if spec.fit.validation_split > 0 and not 0 < trained < samples:
        (at / "fit" / "validation_split").fault(
            FaultCode.OUT_OF_RANGE,
            f"Of {samples} samples it leaves {trained} to train on and {samples - trained} to validate.",
            received=spec.fit.validation_split,
            expected="a share that leaves at least one sample on either side",
        )
    elif trained < spec.fit.batch_size and "batch_size" in spec.fit.model_fields_set:
        (at / "fit" / "batch_size").notice(
            NoticeCode.SUSPICIOUS,
            f"There are {trained} samples to train on, fewer than a batch: each epoch is one step.",
        )


def check_devices(spec: SoundJob, at: Place) -> None:
    """What Keras refuses to do on several devices, though not before the first step."""
    if spec.resources is None or (spec.resources.strategy != "mirrored" and spec.resources.gpus < 2):
        return
    here, optimizer = at / "compile" / "optimizer" / "config", spec.compile.optimizer
    config = optimizer.config if optimizer is not None else {}
    if config.get("use_ema") and config.get("ema_overwrite_frequency"):
        (here / "ema_overwrite_frequency").fault(
            FaultCode.NOT_SUPPORTED, "Keras cannot overwrite the weights by their average on several devices."
        )
    if config.get("weight_decay") and config.get("gradient_accumulation_steps"):
        (here / "gradient_accumulation_steps").fault(
            FaultCode.NOT_SUPPORTED, "Keras cannot accumulate gradients with weight decay on several devices."
        )
    for pointer in stateful(spec.model) if spec.model is not None else ():
        Place(at.report, pointer).fault(
            FaultCode.NOT_SUPPORTED, "A layer that keeps its state from batch to batch cannot train on several devices."
        )


def stateful(model: KerasObject) -> list[str]:
    """Pointers to the argument `stateful` of each layer that keeps its state from batch to batch."""
    return [pointer for pointer, config in _configs(model.model_dump(), "/model") if config.get("stateful") is True]


def without_state(model: KerasObject) -> KerasObject:
    copy = model.model_dump()
    for _, config in _configs(copy, "/model"):
        config.pop("stateful", None)
    return KerasObject.model_validate(copy)


def _configs(value: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The configs of an object and of all objects in it, with a pointer to the argument `stateful` of each."""
    if isinstance(value, dict):
        if isinstance(value.get("config"), dict):
            yield f"{pointer}/config/stateful", value["config"]
        for key, inner in value.items():
            yield from _configs(inner, f"{pointer}/{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _configs(inner, f"{pointer}/{i}")


# --- Targets, loss and outputs -------------------------------------------------------------------------------------


def loss_name(loss: object) -> str | None:
    """The loss under Keras's name for its function; None where each output has one of its own."""
    if isinstance(loss, KerasObject):
        return snake_case(loss.class_name)
    return loss if isinstance(loss, str) else None


def advice(spec: SoundJob, targets: Shape, outputs: Shape) -> str:
    """What probably was meant where the loss does not take these targets."""
    name = loss_name(spec.compile.loss)
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


def check_targets(
    spec: SoundJob, y: ArrayInfo | None, labels: Labels | None, outputs: Outputs | None, at: Place
) -> None:
    """`y` is None where there are several arrays of targets; `labels`, where known, are what it is made from."""
    if y is None:
        return
    if labels is not None:
        _check_one_hot(_steps(spec), labels, at / "data" / "prepare" / "y")
    name = loss_name(spec.compile.loss)
    if name is None or outputs is None or not outputs.shape:
        return
    if name == _SPARSE and not _steps(spec):
        _check_sparse(spec, y, labels, outputs, at)
    here = at / "compile" / "loss"
    _suspect_activation(spec.compile.loss, name, outputs, here)
    _suspect_labels(name, labels if not _steps(spec) else None, here)
    _suspect_broadcast(name, y.shape[1:], outputs, here)


def _steps(spec: SoundJob) -> Sequence[PrepareStep]:
    """What prepares the only array of targets."""
    assert spec.data is not None
    [only] = parts(spec.data.y, spec.data.prepare.y)
    return only.steps


def _check_one_hot(steps: Sequence[PrepareStep], labels: Labels, at: Place) -> None:
    """A step before it may change the labels, so only the first can be told."""
    for step in steps[:1]:
        if step.one_hot is not None and not 0 <= labels.low <= labels.high < step.one_hot:
            (at / 0 / "one_hot").fault(
                FaultCode.OUT_OF_RANGE,
                f"The labels go from {labels.low} to {labels.high}; one_hot takes 0 to {step.one_hot - 1}.",
                received=step.one_hot,
                expected=f"at least {labels.high + 1}" if labels.low >= 0 else "labels from 0 on",
            )


def _check_sparse(spec: SoundJob, y: ArrayInfo, labels: Labels | None, outputs: Outputs, at: Place) -> None:
    width = outputs.shape[-1]
    if labels is None:
        if y.dtype.startswith("float"):
            message = f"The loss {_SPARSE!r} reads the targets as labels; theirs is the type {y.dtype}, rounded down."
            (at / "compile" / "loss").notice(NoticeCode.SUSPICIOUS, message)
    elif width is not None and not 0 <= labels.low <= labels.high < width and not _ignores_class(spec.compile.loss):
        _output_place(spec, outputs, at).fault(
            FaultCode.BAD_TARGETS,
            f"The labels go from {labels.low} to {labels.high}, and the model puts out {width} numbers, for the "
            f"classes 0 to {width - 1}.",
            received=width,
            expected=f"{labels.high + 1} units" if labels.low >= 0 else "labels from 0 on",
        )


def _ignores_class(loss: object) -> bool:
    return isinstance(loss, KerasObject) and loss.config.get("ignore_class") is not None


def _output_place(spec: SoundJob, outputs: Outputs, at: Place) -> Place:
    """Where the width of the output is said: the `units` of the layer that it comes from."""
    assert spec.model is not None
    layers = spec.model.config.get("layers", [])
    named = [i for i, layer in enumerate(layers) if layer["config"].get("name") == outputs.layer]
    for i in named or range(len(layers) - 1, -1, -1):
        here = at / "model" / "config" / "layers" / i
        if "units" in layers[i]["config"]:
            return here / "config" / "units"
        if "layers" in layers[i]["config"] or named:
            return here
    return at / "model"


def _suspect_activation(loss: object, name: str, outputs: Outputs, at: Place) -> None:
    wanted = _PROBABILITIES.get(name)
    if wanted is None:
        return
    logits = isinstance(loss, KerasObject) and bool(loss.config.get("from_logits"))
    if logits and outputs.activation in ("softmax", "sigmoid"):
        at.notice(
            NoticeCode.SUSPICIOUS, f"from_logits is true, and the output is made by {outputs.activation} already."
        )
    elif not logits and outputs.activation in ("linear", "relu", "tanh"):
        at.notice(
            NoticeCode.SUSPICIOUS,
            f"The loss {name!r} expects probabilities, and the output's activation is {outputs.activation}: give the "
            f"last layer {wanted!r}, or the loss from_logits.",
        )
    elif outputs.activation == "softmax" and outputs.shape[-1] == 1:
        at.notice(NoticeCode.SUSPICIOUS, "A softmax over one number is always 1: nothing can be learned.")


def _suspect_labels(name: str, labels: Labels | None, at: Place) -> None:
    if name in _BINARY and labels is not None and labels.high > 1:
        at.notice(
            NoticeCode.SUSPICIOUS,
            f"The loss {name!r} tells two classes apart, and the labels go from {labels.low} to {labels.high}.",
        )


def _suspect_broadcast(name: str, targets: Shape, outputs: Outputs, at: Place) -> None:
    """Where ranks are equal and one length is 1, NumPy's rule compares each number with the same target."""
    differing = [pair for pair in zip(targets, outputs.shape, strict=False) if None not in pair and len(set(pair)) > 1]
    if name != _SPARSE and len(targets) == len(outputs.shape) and differing and all(1 in pair for pair in differing):
        at.notice(
            NoticeCode.SUSPICIOUS,
            f"Targets of shape {list(targets)} are compared with outputs of shape {list(outputs.shape)}: each target "
            "with several outputs, or the other way about.",
        )
