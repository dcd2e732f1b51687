"""Check what the values of the arrays of a job are, as they were collected when the arrays were uploaded."""

import math

from fitqueue.datasets import ArrayInfo, ArrayValues, DatasetInfo
from fitqueue.spec.fields.data import ArrayRef, DataSpec, Validation, array_refs
from fitqueue.spec.findings import NoticeCode, Pointer, quoted
from fitqueue.text import non_finite_text


def check_stored_values(data: DataSpec, info: DatasetInfo, pointer: Pointer) -> None:
    """Add notices about values that spoil a training, and about a validation that shows nothing."""
    _check_arrays(data, info, pointer)
    if data.validation is not None:
        _check_arrays(data.validation, info, pointer / "validation")
        _warn_about_same_arrays(data, data.validation, pointer / "validation")


def _check_arrays(names: DataSpec | Validation, info: DatasetInfo, pointer: Pointer) -> None:
    for field in ("x", "y", "sample_weight"):
        for ref in array_refs(getattr(names, field)):
            array = info.arrays.get(ref.array)
            if array is None or array.values is None:
                continue
            array_pointer = pointer / field if ref.key is None else pointer / field / ref.key
            _warn_about_non_finite(ref, array, array.values, array_pointer)
            if field == "sample_weight":
                _warn_about_negative(ref, array.values, array_pointer)


def _warn_about_non_finite(ref: ArrayRef, array: ArrayInfo, values: ArrayValues, pointer: Pointer) -> None:
    if values.are_finite:
        return
    size = math.prod(length or 1 for length in array.shape)
    text = non_finite_text(values.nan, values.infinite, size)
    pointer.add_notice(
        NoticeCode.NON_FINITE, f"The array {quoted(ref.array)} has {text}: one of them is enough for a loss of NaN."
    )


def _warn_about_negative(ref: ArrayRef, values: ArrayValues, pointer: Pointer) -> None:
    if values.low is not None and values.low < 0:
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            f"The sample weights {quoted(ref.array)} go from {values.low:.10g} to {values.high:.10g}. With a negative "
            "weight, the model learns to get a sample wrong.",
        )


def _warn_about_same_arrays(data: DataSpec, validation: Validation, pointer: Pointer) -> None:
    trained = {ref.array for ref in array_refs(data.x)}
    if trained and trained == {ref.array for ref in array_refs(validation.x)}:
        (pointer / "x").add_notice(
            NoticeCode.SUSPICIOUS,
            "The samples to validate on are those to train on, so `val_loss` does not show whether the model overfits.",
        )
