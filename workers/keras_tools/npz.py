"""Read arrays from .npz files. Users upload them, so nothing in them is ever unpickled."""

import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from zipfile import BadZipFile

import numpy as np

from fitqueue.datasets import SINGLE_ARRAY
from fitqueue.spec.findings import listed

Array = np.ndarray[Any, np.dtype[Any]]
Value = TypeVar("Value")

UNREADABLE: Final = (OSError, ValueError, EOFError, RuntimeError, BadZipFile, zlib.error)
"""What NumPy raises for an empty, truncated or damaged archive, and for one on a disk that fails."""

_SUFFIX: Final = ".npy"


class DataError(Exception):
    """The data of a job cannot be loaded or prepared. The message is for the job's owner."""


class DataUnreadable(DataError):
    """A file cannot be read. It could when it was stored, so it may be read again."""


def read_npz(path: Path, names: Collection[str]) -> dict[str, Array]:
    """Return these arrays of a file, by name. A single `.npy` has one array, under the name `arr_0`.

    Raises:
        DataUnreadable: the file cannot be read.
        DataError: an array is missing.
    """
    try:
        # Unpickling would run whatever code is in the file.
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _named({SINGLE_ARRAY: _native(loaded)}, names)
        with loaded as archive:
            # The whole name of a member: for `x` alone, NumPy would take a member without the ending for the array.
            stored = {name: name + _SUFFIX for name in archive.files if name + _SUFFIX in archive.zip.namelist()}
            return {name: _native(archive[member]) for name, member in _named(stored, names).items()}
    except UNREADABLE as error:
        raise DataUnreadable(f"The data set cannot be read: {error}") from error


def _named(arrays: Mapping[str, Value], names: Collection[str]) -> dict[str, Value]:
    missing = [name for name in sorted(names) if name not in arrays]
    if missing:
        raise DataError(f"The data set has no array named {missing[0]!r}; it has {listed(list(arrays))}.")
    return {name: arrays[name] for name in sorted(names)}


def _native(array: Array) -> Array:
    """Return the array in the order of axes and bytes that TensorFlow takes."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
