"""Read stored weights on a worker: the best weights of another job, or what a user uploaded."""

from pathlib import Path
from zipfile import BadZipFile

import h5py
import numpy as np

from workers.keras_tools.hdf5 import Refused, variables
from workers.keras_tools.npz import DataError
from workers.keras_tools.weights import StoredWeights, from_arrays


def read_weights(path: Path) -> StoredWeights:
    """Return the weights in a file: HDF5, which a job of this service wrote, or the `.npz` of an upload.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        if path.suffix == ".npz":
            # Unpickling would run whatever code is in the file.
            with np.load(path, allow_pickle=False) as archive:
                return from_arrays({name: archive[name] for name in archive.files})
        with h5py.File(path, "r") as file:
            found = variables(file, path.stat().st_size)
            return from_arrays({str(variable.name): variable.dataset[()] for variable in found})
    except (OSError, ValueError, BadZipFile, EOFError, KeyError, Refused) as error:
        raise DataError(f"The weights cannot be read: {error}") from error
