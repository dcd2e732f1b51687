"""Read arrays from .npz files. Users upload them, so nothing in them is ever unpickled."""

from collections.abc import Collection
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from fitqueue.spec.findings import listed

Array = np.ndarray[Any, np.dtype[Any]]


class DataError(Exception):
    """The data of a job cannot be loaded or prepared. The message is for the job's owner."""


def read_npz(path: Path, names: Collection[str]) -> dict[str, Array]:
    """Return these arrays of a file, by name.

    Raises:
        DataError: the file cannot be read, or an array is missing.
    """
    try:
        # Unpickling would run whatever code is in the file.
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in sorted(names) if name not in archive]
            if missing:
                raise DataError(f"The data set has no array named {missing[0]!r}; it has {listed(archive.files)}.")
            return {name: archive[name] for name in sorted(names)}
    except (OSError, ValueError, BadZipFile, EOFError) as error:
        raise DataError(f"The data set cannot be read: {error}") from error
