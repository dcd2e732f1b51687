"""Data that comes in batches, `tf.data.Dataset`, `PyDataset` or a generator, made into arrays."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

MAX_BYTES: Final = 8 * 1024**3
"""What the batches may have together: they are in memory before they are sent."""

OnBytes = Callable[[int], None]
"""Called with the bytes that have been taken so far."""


class NoEnd(ValueError):
    """The batches do not end, or are too many; the message says so."""


@dataclass(frozen=True)
class Batches:
    """What the batches of one epoch hold together.

    Attributes:
        batch_size: of the first batch.
        shuffled: whether each epoch has another order.
    """

    x: Any
    y: Any
    sample_weight: Any
    batch_size: int
    shuffled: bool


def come_in_batches(value: Any) -> bool:
    """Return whether this is no array, but yields batches."""
    if isinstance(value, np.ndarray | list | tuple | Mapping) or hasattr(value, "dtype") or hasattr(value, "columns"):
        return False
    return hasattr(value, "element_spec") or hasattr(value, "__next__") or _is_indexed(value) or _is_loader(value)


def collect(value: Any, on_bytes: OnBytes, limit: int = MAX_BYTES) -> Batches:
    """Take all batches.

    Raises:
        NoEnd: they have more bytes than the limit.
        ValueError: there are none, or they have other parts than x, y and sample weights.
    """
    batches, size = [], 0
    for batch in _iterate(value):
        parts = _parts(batch)
        batches.append(parts)
        size += sum(array.nbytes for part in parts for array in _leaves(part))
        if size > limit:
            raise NoEnd(
                f"It has yielded {size / 1e9:.1f} GB in {len(batches)} batches and has not ended, and at most "
                f"{limit / 1e9:.1f} GB can be sent. Let it end after one epoch, or use arrays."
            )
        on_bytes(size)
    if not batches:
        raise ValueError("It yields no batch.")
    counts = {len(parts) for parts in batches}
    if len(counts) > 1:
        raise ValueError("Its batches have different parts.")
    x, y, weight = (_joined([parts[index] for parts in batches]) for index in range(3))
    return Batches(x, y, weight, len(_leaves(batches[0][0])[0]), _shuffles(value))


def _iterate(value: Any) -> Iterator[Any]:
    if _is_indexed(value):
        return (value[index] for index in range(_count(value)))
    return iter(value)


def _is_indexed(value: Any) -> bool:
    """Return whether this is a PyDataset (Keras 3) or a Sequence (Keras 2)."""
    return any(cls.__name__ in {"PyDataset", "Sequence"} and "keras" in cls.__module__ for cls in type(value).__mro__)


def _is_loader(value: Any) -> bool:
    return type(value).__name__ == "DataLoader" and type(value).__module__.startswith("torch.")


def _count(value: Any) -> int:
    count = getattr(value, "num_batches", None)
    if count is None and not hasattr(value, "__len__"):
        raise NoEnd("It does not say how many batches it has. Let `__len__` say it.")
    return int(count if isinstance(count, int) else len(value))


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
    return np.asarray(part.detach().cpu() if hasattr(part, "detach") else part)


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


def _shuffles(dataset: Any) -> bool:
    """Return whether a `tf.data.Dataset` is shuffled anywhere on its way."""
    if "Shuffle" in type(dataset).__name__:
        return True
    inputs = getattr(dataset, "_inputs", None)
    return any(_shuffles(inner) for inner in inputs()) if callable(inputs) else False
