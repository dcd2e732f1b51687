"""Turns an uploaded file of weights into an `.npz`, in a process that is named by its module and never imported.

The API does not load HDF5. What the process writes is inspected like an `.npz` from a user.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from fitqueue.datasets import ArrayInfo
from fitqueue.errors import InvalidDataset
from fitqueue.weights import MAX_ARRAYS, MAX_NAME
from service import environment, npz

PROGRAM: Final = "workers.weights_reader"
TIMEOUT: Final = 600.0

_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_ZIP: Final = b"PK\x03\x04"
_KERAS_MEMBER: Final = b"model.weights.h5"
_DIRECTORY_BYTES: Final = 65_536
_HEADERS: Final = 128 * MAX_ARRAYS
"""The bytes of the headers in an `.npz`, which no limit of a user counts."""


def holds_weights(path: Path) -> bool:
    """Return whether a file is HDF5, or a `.keras`, which is a zip file with an HDF5 file in it."""
    with path.open("rb") as file:
        beginning = file.read(len(_HDF5))
        if beginning == _HDF5:
            return True
        if not beginning.startswith(_ZIP):
            return False
        file.seek(max(0, path.stat().st_size - _DIRECTORY_BYTES))  # the names of the members are at the end
        return _KERAS_MEMBER in file.read()


def convert(source: Path, target: Path, max_bytes: int) -> npz.Inspection:
    """Write the weights in a file as an `.npz`, and return its arrays.

    Raises:
        InvalidDataset: it is not a file of Keras's, or it cannot be read within the limits.
    """
    _to_npz(source, target, max_bytes)
    arrays = npz.inspect(target, max_bytes + _HEADERS, npz.Limits(MAX_ARRAYS, MAX_NAME)).arrays
    return npz.Inspection({name: ArrayInfo(array.shape, array.dtype) for name, array in arrays.items()})


def _to_npz(source: Path, target: Path, max_bytes: int) -> None:
    """Have the weights read by the process.

    Raises:
        InvalidDataset: it is not a file of Keras's, or it cannot be read within the limits.
    """
    command = [sys.executable, "-m", PROGRAM, str(source), str(target), str(max_bytes)]
    try:
        finished = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment.for_children(os.environ),
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidDataset("The weights could not be read in time.") from error
    if (problem := _problem(finished)) is not None:
        raise InvalidDataset(f"The weights cannot be read: {problem}.")


def _problem(finished: "subprocess.CompletedProcess[bytes]") -> str | None:
    """Return what is wrong with the file; None if it was read."""
    try:
        problem = json.loads(finished.stdout)
    except ValueError:
        if b"No module named" in finished.stderr:
            return "this service has no h5py, which it needs for that; upload an .npz, or install the extra of a worker"
        return "the process that reads them exceeded its limits of memory and time"
    return None if problem is None and finished.returncode == 0 else str(problem)
