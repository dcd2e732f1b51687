"""Reads the numbers of an array in chunks, and collects what is worth knowing about them."""

import math
from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np

from fitqueue.datasets import MAX_CLASSES, ArrayValues, ClassCount
from service.npz.headers import Header, Rejected

Numbers = np.ndarray[Any, np.dtype[Any]]

_CHUNK: Final = 1024**2
"""Bytes of numbers to look at together. What this needs of memory is a few times that."""

_MAX_LABEL: Final = 2**53
"""Labels are integers that every kind of number can hold; larger ones mean something else."""


def read_values(file: IO[bytes], header: Header) -> ArrayValues:
    """Read the numbers of an array, and return what they are.

    Raises:
        Rejected: the file ends before its array.
    """
    extent, labels = _Extent(), _labels_of(header)
    first, sample_values = 0, max(1, math.prod(header.shape[1:]))
    for numbers in _chunks(file, header):
        extent.add(numbers)
        labels.add(numbers, first)
        first += numbers.size // sample_values
    return ArrayValues(
        low=extent.low,
        high=extent.high,
        integral=extent.integral,
        nan=extent.nan,
        infinite=extent.infinite,
        classes=labels.classes,
        labels_per_sample=labels.most_per_sample,
    )


def _chunks(file: IO[bytes], header: Header) -> Iterator[Numbers]:
    """Yield the numbers in the order of the file; whole samples, if a sample is not larger than a chunk."""
    sample_bytes = max(1, header.item_size * math.prod(header.shape[1:]))
    chunk_bytes = _CHUNK // sample_bytes * sample_bytes or _CHUNK
    left = header.declared_bytes - header.size
    while left:
        size = min(chunk_bytes, left)
        data = file.read(size)
        if len(data) != size:
            raise Rejected("it ends within its numbers")
        yield np.frombuffer(data, header.descr)
        left -= size


class _Extent:
    """The lowest and the highest finite value, and how many numbers are not finite."""

    def __init__(self) -> None:
        self.low: int | float | None = None
        self.high: int | float | None = None
        self.integral = True
        self.nan = 0
        self.infinite = 0

    def add(self, numbers: Numbers) -> None:
        if numbers.dtype.kind == "f":
            numbers = self._finite(numbers)
            self.integral = self.integral and _are_integral(numbers)
        if numbers.size:
            low, high = +numbers.min().item(), +numbers.max().item()  # the plus makes numbers of booleans
            self.low = low if self.low is None else min(self.low, low)
            self.high = high if self.high is None else max(self.high, high)

    def _finite(self, numbers: Numbers) -> Numbers:
        finite = np.isfinite(numbers)
        if finite.all():
            return numbers
        nan = int(np.isnan(numbers).sum())
        self.nan += nan
        self.infinite += int(numbers.size - finite.sum()) - nan
        return numbers[finite]


def _are_integral(numbers: Numbers) -> bool:
    return bool((numbers == np.rint(numbers)).all())


# --- Labels --------------------------------------------------------------------------------------------------------


class _Labels:
    """No labels: those of an array that has something else for each sample."""

    def __init__(self) -> None:
        self.classes: tuple[ClassCount, ...] | None = None
        self.most_per_sample: int | None = None

    def add(self, numbers: Numbers, first: int) -> None:
        """Add the numbers of the samples from the index `first` on."""


class _SingleLabels(_Labels):
    """The classes of an array with one label for each sample, until there are too many or a number is not a label."""

    def __init__(self) -> None:
        super().__init__()
        self._by_label: dict[int, ClassCount] | None = {}

    def add(self, numbers: Numbers, first: int) -> None:
        counts = _count_classes(numbers, first) if self._by_label is not None else None
        self._by_label = _merged(self._by_label or {}, counts) if counts is not None else None
        self.classes = tuple(self._by_label.values()) if self._by_label else None


class _OneHotLabels(_SingleLabels):
    """The rows of an array with one row of zeros and ones for each sample: one-hot encodings, or several labels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width
        self._are_rows = True

    def add(self, numbers: Numbers, first: int) -> None:
        if not self._are_rows:
            return
        rows = numbers.reshape(-1, self._width)
        self._are_rows = bool(((rows == 0) | (rows == 1)).all())
        if not self._are_rows:
            self.classes, self.most_per_sample = None, None
            return
        ones = (rows == 1).sum(axis=1)
        self.most_per_sample = max(self.most_per_sample or 0, int(ones.max()))
        if not (ones == 1).all():
            self._by_label = None
        super().add(rows.argmax(axis=1), first)


def _labels_of(header: Header) -> _Labels:
    """Return the labels that an array of this shape can have, before any number was added."""
    match header.shape:
        case (_,) | (_, 1):
            return _SingleLabels()
        case (_, width) if 1 < width <= MAX_CLASSES and not header.in_fortran_order:
            return _OneHotLabels(width)
    return _Labels()


def _can_be_labels(numbers: Numbers) -> bool:
    """Return whether all of these numbers are integers of a size that labels have; NaN is not."""
    return numbers.min().item() >= -_MAX_LABEL and numbers.max().item() <= _MAX_LABEL and _are_integral(numbers)


def _count_classes(numbers: Numbers, first: int) -> list[ClassCount] | None:
    """Return the classes of some labels in the order of their first samples; None if they are not labels."""
    if not _can_be_labels(numbers):
        return None
    order = np.argsort(numbers, kind="stable")  # samples of the same class stay in their order
    in_order = numbers[order]
    starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])
    if len(starts) > MAX_CLASSES:
        return None
    stops = np.r_[starts[1:], numbers.size]
    classes = [
        ClassCount(int(in_order[start]), int(stop - start), first + int(order[start]), first + int(order[stop - 1]))
        for start, stop in zip(starts, stops, strict=True)
    ]
    return sorted(classes, key=lambda each: each.first)


def _merged(known: dict[int, ClassCount], counts: list[ClassCount]) -> dict[int, ClassCount] | None:
    """Return the classes of all labels up to now; None if there are too many."""
    merged = dict(known)
    for label, samples, first, last in counts:
        before = merged.get(label)
        merged[label] = (
            ClassCount(label, before.samples + samples, before.first, last)
            if before is not None
            else ClassCount(label, samples, first, last)
        )
    return merged if len(merged) <= MAX_CLASSES else None
