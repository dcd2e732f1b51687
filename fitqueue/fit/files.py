"""The file in which arrays are sent."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fitqueue.fit.arrays import Array

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write an `.npz`. The same arrays make the same bytes, so that they are sent once."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", _EPOCH), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
