"""Check what Keras does not check, or checks too late.

A job that Keras would train, but not as it was meant, gets a notice; one that would fail while it runs gets a fault.
The checks of one output and its targets are in `targets.py`.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.checks.ranges import Range
from fitqueue.spec.checks.replication import objects_in, obstacles
from fitqueue.spec.fields.data import ArrayRef, StepError, prepared_info
from fitqueue.spec.fields.partial import PartialJob
from fitqueue.spec.fields.training import FitSpec, KerasObject
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer

PreparedArrays = Mapping[str | None, ArrayInfo]
"""Prepared arrays by the input or output they are for; a single one is under None."""


def prepare_arrays(refs: Sequence[ArrayRef], arrays: Mapping[str, ArrayInfo]) -> PreparedArrays:
    """Return the arrays as training sees them, without those that are faulty."""
    prepared = {}
    for ref in refs:
        with suppress(StepError, KeyError):
            prepared[ref.key] = prepared_info(arrays[ref.array], ref.steps)
    return prepared


def check_fit(spec: PartialJob, x: PreparedArrays, pointer: Pointer) -> None:
    """Check the arguments of `fit` against the number of samples."""
    first = next(iter(x.values()), None)
    if spec.fit is None or first is None or first.shape[0] is None:
        return
    samples, trained = first.shape[0], spec.fit.training_samples(first.shape[0])
    if spec.fit.validation_split > 0 and not 0 < trained < samples:
        (pointer / "fit" / "validation_split").add_fault(
            FaultCode.OUT_OF_RANGE,
            f"It splits {samples} samples into {trained} to train on and {samples - trained} to validate on.",
            received=spec.fit.validation_split,
            expected="a fraction that leaves at least one sample on each side",
        )
    elif trained < spec.fit.batch_size and "batch_size" in spec.fit.model_fields_set:
        (pointer / "fit" / "batch_size").add_notice(
            NoticeCode.SUSPICIOUS,
            f"The {trained} samples to train on are fewer than a batch, so each epoch has a single step.",
        )
    _warn_about_steps(spec.fit, trained, pointer / "fit" / "steps_per_epoch")


def _warn_about_steps(fit: FitSpec, samples: int, pointer: Pointer) -> None:
    batches = fit.batches(samples)
    if fit.steps_per_epoch is not None and fit.steps_per_epoch > batches > 0:
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            f"The {samples} samples make {batches} batches of {fit.batch_size}, so an epoch has only {batches} steps.",
        )


def check_text(arrays: PreparedArrays, pointer: Pointer) -> None:
    """Report arrays of text, which no layer and no loss of the catalogue accepts."""
    for key, array in arrays.items():
        if array.dtype == "str":
            (pointer if key is None else pointer / key).add_fault(
                FaultCode.WRONG_TYPE,
                "The array contains text, but Keras needs numbers.",
                received=array.dtype,
                expected="an array of numbers, such as the index of each word",
            )


def check_devices(spec: PartialJob, pointer: Pointer) -> None:
    """Add notices about what makes a job for several devices train on one, and about options that are left out."""
    if spec.resources is None or (spec.resources.gpus < 2 and spec.resources.strategy != "mirrored"):
        return
    gpus = spec.resources.gpus
    all_obstacles = list(obstacles(spec.model, spec.compile.optimizer))
    for obstacle in all_obstacles:
        devices = f"only one of the {gpus} devices reserved for it" if gpus > 1 else "one device"
        Pointer(pointer.findings, obstacle.pointer).add_notice(
            NoticeCode.SUSPICIOUS, f"{obstacle.reason}: the job trains on {devices}, without MirroredStrategy."
        )
    for option in spec.compile.single_device_options if gpus > 1 and not all_obstacles else ():
        (pointer / "compile" / option).add_notice(
            NoticeCode.IGNORED, "Keras does not support this on several devices: it is left out."
        )


def warn_about_fractions(values: Range | None, dtype: str, pointer: Pointer) -> None:
    """Add a notice if fractions go into an input of whole numbers, where Keras cuts them off."""
    if values is not None and not values.integral and dtype.startswith(("int", "uint")):
        pointer.add_notice(
            NoticeCode.SUSPICIOUS, f"The input has the dtype {dtype}, and the data has fractions: they are cut off."
        )


def check_indices(values: Range | None, rows: int, pointer: Pointer) -> None:
    """Check the values that go into an Embedding with this many rows. Keras counts negative ones from the end."""
    if values is None:
        return
    # A float32 can be slightly below the number that was meant.
    high = values.high if values.integral else values.high - abs(values.high) * 1e-6
    if high >= rows or values.low < -rows:
        pointer.add_fault(
            FaultCode.OUT_OF_RANGE,
            f"The values go from {values}, but the Embedding has rows for 0 to {rows - 1}.",
            received=rows,
            expected=f"at least {math.floor(high) + 1}",
        )
    elif values.low <= -1:
        message = f"The values go from {values}. Keras counts negative ones from the last row."
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)
    elif not values.integral:
        message = f"The values go from {values} and have fractions, which Keras cuts off."
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)


def stateful_pointers(model: KerasObject) -> list[str]:
    """Return a pointer to the argument `stateful` of each stateful layer."""
    return [f"{pointer}/config/stateful" for pointer, _, config in objects_in(model) if config.get("stateful") is True]


def without_state(model: KerasObject) -> KerasObject:
    """Return a copy of the model in which no layer is stateful."""
    copy = KerasObject.model_validate(model.model_dump())
    for _, _, config in objects_in(copy):
        config.pop("stateful", None)
    return copy
