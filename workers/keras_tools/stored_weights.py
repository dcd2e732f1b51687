"""Read stored weights on a worker: those of another job, or what a user uploaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import h5py
import numpy as np

from fitqueue.weights import LAYERS, OPTIMIZER, STATES
from workers.keras_tools.hdf5 import Refused, variables
from workers.keras_tools.npz import UNREADABLE, Array, DataUnreadable
from workers.keras_tools.training_state import StoredState, state_in
from workers.keras_tools.weights import StoredWeights, from_arrays

_KERAS_MEMBER = "model.weights.h5"


@dataclass(frozen=True)
class Stored:
    """What a file holds."""

    weights: StoredWeights
    state: StoredState


def read_stored(path: Path, *, with_optimizer: bool = True) -> Stored:
    """Return what a file holds: HDF5 or a whole model, which a job of this service wrote, or the `.npz` of an upload.

    Args:
        path: the file.
        with_optimizer: whether to read the variables of an optimizer, which take twice the memory of the weights.

    Raises:
        DataUnreadable: the file cannot be read.
    """
    try:
        arrays = _arrays(path, LAYERS, STATES, *([OPTIMIZER] if with_optimizer else []))
    except (*UNREADABLE, KeyError, Refused) as error:
        raise DataUnreadable(f"The weights cannot be read: {error}") from error
    return Stored(from_arrays(arrays), state_in(arrays))


def read_weights(path: Path) -> StoredWeights:
    """Return the weights in a file; see `read_stored`.

    Raises:
        DataUnreadable: the file cannot be read.
    """
    return read_stored(path, with_optimizer=False).weights


def _arrays(path: Path, *parts: str) -> Mapping[str, Array]:
    """Return the arrays of these parts of a file."""
    if path.suffix == ".npz":
        # Unpickling would run whatever code is in the file.
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name.startswith(parts)}
    if path.suffix == ".keras":
        with ZipFile(path) as archive:
            return _in_hdf5(BytesIO(archive.read(_KERAS_MEMBER)), path.stat().st_size, parts)
    return _in_hdf5(path, path.stat().st_size, parts)


def _in_hdf5(source: Path | BytesIO, size: int, parts: tuple[str, ...]) -> Mapping[str, Array]:
    with h5py.File(source, "r") as file:
        found = (variable for variable in variables(file, size) if variable.name.part in parts)
        return {str(variable.name): variable.values() for variable in found}
