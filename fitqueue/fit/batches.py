"""Data that comes in batches, `tf.data.Dataset`, `PyDataset` or a generator, made into arrays."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fitqueue.fit.arrays import as_numpy

MAX_BYTES: Final = 8 * 1024**3
"""What the batches may have together: they are in memory before they are sent."""

OnBytes = Callable[[int], None]
"""Called with the bytes that have been taken so far."""

_INFINITE: Final = -1
"""The cardinality of a `tf.data.Dataset` that never ends."""


class NoEnd(ValueError):
    """The batches do not end, or are too many; the message says so."""


@dataclass(frozen=True)
class Batches:
    """What the batches of one epoch hold together.

    Attributes:
        sizes: the number of samples in each batch.
        shuffled: whether each epoch has another order; None if Keras's argument `shuffle` says it.
    """

    x: Any
    y: Any
    sample_weight: Any
    sizes: list[int]
    shuffled: bool | None

    @property
    def are_even(self) -> bool:
        """Whether an array cut into batches of the first one's size gives the same batches."""
        return all(size == self.sizes[0] for size in self.sizes[:-1]) and self.sizes[-1] <= self.sizes[0]


def come_in_batches(value: Any) -> bool:
    """Return whether this yields batches, and is not an array."""
    if isinstance(value, np.ndarray | list | tuple | Mapping) or hasattr(value, "dtype") or hasattr(value, "columns"):
        return False
    return hasattr(value, "element_spec") or hasattr(value, "__next__") or _is_indexed(value) or _is_loader(value)


def collect(value: Any, on_bytes: OnBytes, most: int | None = None, limit: int | None = None) -> Batches:
    """Take all batches.

    Args:
        most: how many `fit` would take of batches without an end.
        limit: the most bytes; None for MAX_BYTES.

    Raises:
        NoEnd: they do not end, or have more bytes than the limit.
        ValueError: there are none, or they have other parts than x, y and sample weights.
    """
    limit = MAX_BYTES if limit is None else limit
    batches, sizes, size = [], [], 0
    for batch in _iterate(value, most):
        parts = _parts(batch)
        batches.append(parts)
        sizes.append(_samples(parts))
        size += sum(array.nbytes for part in parts for array in _leaves(part))
        if size > limit:
            raise NoEnd(
                f"It has yielded {size / 1e9:.1f} GB in {len(batches)} batches and has not ended, and at most "
                f"{limit / 1e9:.1f} GB can be sent. Let it end after one epoch, or use arrays."
            )
        on_bytes(size)
    if not batches:
        raise ValueError("It yields no batch.")
    if len({_structure(parts) for parts in batches}) > 1:
        raise ValueError("Its batches have different parts.")
    x, y, weight = (_joined([parts[index] for parts in batches]) for index in range(3))
    return Batches(x, y, weight, sizes, None if _is_indexed(value) else _shuffles(value))


def _iterate(value: Any, most: int | None) -> Iterator[Any]:
    if (_is_indexed(value) and _count(value) is None) or _cardinality(value) == _INFINITE:
        if most is None:
            raise NoEnd("It has no end. Leave .repeat() out: a job takes the data anew in each epoch.")
        return itertools.islice(_each(value), most)
    is_generator = hasattr(value, "__next__")
    return itertools.islice(_each(value), most) if is_generator else _each(value)


def _each(value: Any) -> Iterator[Any]:
    if not _is_indexed(value):
        return iter(value)
    count = _count(value)
    return (value[index] for index in (itertools.count() if count is None else range(count)))


def _cardinality(value: Any) -> int | None:
    cardinality = getattr(value, "cardinality", None)
    return int(cardinality()) if callable(cardinality) else None


def _is_indexed(value: Any) -> bool:
    """Return whether this is a PyDataset (Keras 3) or a Sequence (Keras 2)."""
    return any(cls.__name__ in {"PyDataset", "Sequence"} and "keras" in cls.__module__ for cls in type(value).__mro__)


def _is_loader(value: Any) -> bool:
    return any(
        cls.__name__ == "DataLoader" and cls.__module__.partition(".")[0] == "torch" for cls in type(value).__mro__
    )


def _count(value: Any) -> int | None:
    """Return how many batches a PyDataset has; None if it has no end."""
    count = getattr(value, "num_batches", _INFINITE)
    return len(value) if count == _INFINITE else count


def _parts(batch: Any) -> tuple[Any, Any, Any]:
    if not isinstance(batch, tuple | list) or not 1 <= len(batch) <= 3:
        raise ValueError("Each batch must be a tuple (x, y) or (x, y, sample_weight).")
    x, y, weight = [_as_arrays(part) for part in batch] + [None] * (3 - len(batch))
    return x, y, weight


def _as_arrays(part: Any) -> Any:
    if part is None:
        return None
    if isinstance(part, Mapping):
        return {str(name): _as_arrays(inner) for name, inner in part.items()}
    if isinstance(part, tuple | list):
        return [_as_arrays(inner) for inner in part]
    return as_numpy(part)


def _samples(parts: tuple[Any, Any, Any]) -> int:
    """Return the number of samples in a batch."""
    counts = {array.shape[0] if array.ndim else None for part in parts for array in _leaves(part)}
    if len(counts) != 1 or None in counts:
        raise ValueError(
            "The arrays of a batch do not have the same number of samples. If it yields single samples, make batches: "
            "`x.batch(32)`."
        )
    return int(max(array.shape[0] for part in parts for array in _leaves(part)))


def _structure(parts: Any) -> str:
    """Return the names and places of the arrays in a batch, as a text to compare."""
    if isinstance(parts, Mapping):
        return str({name: _structure(inner) for name, inner in parts.items()})
    if isinstance(parts, list | tuple):
        return str([_structure(inner) for inner in parts])
    return "" if parts is None else str(parts.shape[1:])


def _leaves(part: Any) -> list[Any]:
    if part is None:
        return []
    if isinstance(part, Mapping):
        return [leaf for inner in part.values() for leaf in _leaves(inner)]
    return [leaf for inner in part for leaf in _leaves(inner)] if isinstance(part, list) else [part]


def _joined(parts: list[Any]) -> Any:
    """Return the samples of all batches, in the structure that each of them has."""
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, Mapping):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, list):
        return [_joined([part[index] for part in parts]) for index in range(len(first))]
    return np.concatenate(parts)


def _shuffles(data: Any) -> bool:
    """Return whether a `tf.data.Dataset` or a DataLoader has another order in each epoch."""
    if "Shuffle" in type(data).__name__:
        return getattr(data, "_reshuffle_each_iteration", True) is not False
    if type(getattr(data, "sampler", None)).__name__ == "RandomSampler":
        return True
    inputs = getattr(data, "_inputs", None)
    return any(_shuffles(inner) for inner in inputs()) if callable(inputs) else False
