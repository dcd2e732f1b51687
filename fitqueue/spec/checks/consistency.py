"""Check that the parts of a job agree where Keras says nothing, or says it too late.

A job that Keras trains, if not as it was meant, gets a notice; one that fails on the way gets a fault. What concerns
one output and its targets is in `targets.py`.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress

from fitqueue.datasets import ArrayInfo
from fitqueue.model_check import Array
from fitqueue.spec.checks.ranges import Range
from fitqueue.spec.checks.replication import objects_in, obstacles
from fitqueue.spec.data import Part, StepError, prepared_shape
from fitqueue.spec.partial import PartialJob
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer
from fitqueue.spec.training import FitSpec, KerasObject


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


def trained_samples(spec: PartialJob, x: ArrayInfo) -> int:
    """Samples that are left when `validation_split` has taken its share, as Keras cuts them."""
    assert spec.fit is not None
    return math.floor((x.shape[0] or 0) * (1 - spec.fit.validation_split))


def check_fit(spec: PartialJob, x: Prepared, at: Pointer) -> None:
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
    _suspect_steps(spec.fit, trained, at / "fit" / "steps_per_epoch")


def _suspect_steps(fit: FitSpec, samples: int, at: Pointer) -> None:
    batches = math.ceil(samples / fit.batch_size)
    if fit.steps_per_epoch is not None and fit.steps_per_epoch > batches > 0:
        at.notice(
            NoticeCode.SUSPICIOUS,
            f"The {samples} samples make {batches} batches of {fit.batch_size}: an epoch ends after them.",
        )


def check_text(arrays: Prepared, at: Pointer) -> None:
    """No layer of the catalogue takes text, and no loss."""
    for key, array in arrays.items():
        if array.dtype == "str":
            (at if key is None else at / key).fault(
                FaultCode.WRONG_TYPE,
                "The array holds text, and Keras computes with numbers.",
                received=array.dtype,
                expected="an array of numbers, such as the index of each word",
            )


def check_devices(spec: PartialJob, at: Pointer) -> None:
    """What several devices cannot compute is computed by one, and hints that they cannot take are left out."""
    if spec.resources is None or (spec.resources.gpus < 2 and spec.resources.strategy != "mirrored"):
        return
    found = list(obstacles(spec.model, spec.compile.optimizer))
    for obstacle in found:
        held = f"one of the {spec.resources.gpus} devices that it holds" if spec.resources.gpus > 1 else "one device"
        Pointer(at.report, obstacle.pointer).notice(
            NoticeCode.SUSPICIOUS, f"{obstacle.why}: the job trains on {held}, without MirroredStrategy."
        )
    for hint in spec.compile.hints if spec.resources.gpus > 1 and not found else ():
        (at / "compile" / hint).notice(NoticeCode.IGNORED, "Keras cannot do it on several devices: it is left out.")


def suspect_fractions(values: Range | None, dtype: str, at: Pointer) -> None:
    """Of what goes into an input of whole numbers, Keras drops the fractions."""
    if values is not None and not values.whole and dtype.startswith(("int", "uint")):
        at.notice(NoticeCode.SUSPICIOUS, f"The input takes {dtype}, and the data has fractions: they are cut off.")


def check_indices(values: Range | None, rows: int, at: Pointer) -> None:
    """What goes into an Embedding of so many rows. Keras counts negative indices from the end."""
    if values is None:
        return
    # A float32 may lie a little below the number that was meant.
    high = values.high if values.whole else values.high - abs(values.high) * 1e-6
    if high >= rows or values.low < -rows:
        at.fault(
            FaultCode.OUT_OF_RANGE,
            f"The values go from {values}, and the Embedding has rows for 0 to {rows - 1}.",
            received=rows,
            expected=f"at least {math.floor(high) + 1}",
        )
    elif values.low <= -1:
        at.notice(NoticeCode.SUSPICIOUS, f"The values go from {values}; Keras counts negative ones from the last row.")
    elif not values.whole:
        at.notice(NoticeCode.SUSPICIOUS, f"The values go from {values}, with fractions, which Keras cuts off.")


def stateful(model: KerasObject) -> list[str]:
    """Pointers to the argument `stateful` of each layer that keeps its state from batch to batch."""
    return [f"{pointer}/config/stateful" for pointer, _, config in objects_in(model) if config.get("stateful") is True]


def without_state(model: KerasObject) -> KerasObject:
    copy = KerasObject.model_validate(model.model_dump())
    for _, _, config in objects_in(copy):
        config.pop("stateful", None)
    return copy
