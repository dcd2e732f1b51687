"""The weights reader: turns a file of weights from a user into an `.npz`, in a process of its own with hard limits.

`python -m workers.weights_reader SOURCE TARGET MAX_BYTES`: SOURCE is a `.weights.h5`, a `.keras`, or a legacy `.h5`.
The process prints one line of JSON: what is wrong with the file, or null. It ends without a line if a limit stops it.

HDF5 is read by a C library, which is not written for hostile files. So this process has an environment without secrets;
it cannot open another file once it has begun to read; and what it writes is inspected like any other upload.
"""

import codecs
import json
import os
import resource
import shutil
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

# HDF5 loads a plugin when a file names a filter that it does not know. This value forbids it, at the import of h5py.
os.environ["HDF5_PLUGIN_PRELOAD"] = "::"

import h5py
import numpy as np

from workers.keras_tools.hdf5 import Refused, Variable, variables

MEMORY_BYTES: Final = 1024**3
"""The limit beyond what the imports need already."""
CPU_SECONDS: Final = 20
BYTES_PER_CPU_SECOND: Final = 20 * 1024**2
"""A larger file may take longer: reading and writing takes a tenth of this on an idle machine."""

for encoding in ("ascii", "cp437", "latin-1", "utf-8"):
    codecs.lookup(encoding)  # for names and attributes: later, no module can be loaded

_HDF5_MEMBER: Final = "model.weights.h5"
_CHUNK: Final = 1024**2
_HEADER_BYTES: Final = 1024**2 * 16


def main(arguments: Sequence[str]) -> None:
    source, target, max_bytes = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    with source.open("rb") as file, target.open("wb") as npz, target.with_suffix(".part").open("w+b") as scratch:
        target.with_suffix(".part").unlink()  # it has no name from here on
        _set_limits(source.stat().st_size, max_bytes)
        problem = _convert(file, npz, scratch, max_bytes)
    sys.stdout.write(json.dumps(problem) + "\n")


def _set_limits(file_bytes: int, max_bytes: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for limit, value in {
        resource.RLIMIT_AS: pages * resource.getpagesize() + MEMORY_BYTES,
        resource.RLIMIT_CPU: CPU_SECONDS + file_bytes // BYTES_PER_CPU_SECOND,
        resource.RLIMIT_FSIZE: max_bytes + _HEADER_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 0,  # what is open stays open, and nothing else can be opened
    }.items():
        resource.setrlimit(limit, (value, value))


def _convert(file: IO[bytes], npz: IO[bytes], scratch: IO[bytes], max_bytes: int) -> str | None:
    """Return what is wrong with the file; None if its weights were written."""
    try:
        hdf5 = _extract(file, scratch, max_bytes) if zipfile.is_zipfile(file) else file
        with h5py.File(hdf5, "r") as opened:
            found = variables(opened, os.fstat(hdf5.fileno()).st_size)
            if (total := sum(variable.size for variable in found)) > max_bytes:
                raise Refused(f"its weights take {total} bytes; at most {max_bytes} are accepted")
            _write(found, npz)
    except MemoryError:
        raise
    except Exception as error:  # h5py and the C library below it raise anything for a damaged file
        return str(error) or type(error).__name__
    return None


def _extract(file: IO[bytes], scratch: IO[bytes], max_bytes: int) -> IO[bytes]:
    """Return the HDF5 file inside a `.keras`. Nothing else in it is read: it says which classes to load."""
    try:
        with zipfile.ZipFile(file) as archive:
            if _HDF5_MEMBER not in archive.namelist():
                raise Refused(f"it is an archive without {_HDF5_MEMBER!r}")
            if archive.getinfo(_HDF5_MEMBER).file_size > max_bytes:
                raise Refused("its weights are too large")
            with archive.open(_HDF5_MEMBER) as member:
                shutil.copyfileobj(member, scratch, _CHUNK)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise Refused(f"it cannot be unpacked: {error}") from error
    scratch.seek(0)
    return scratch


def _write(found: Sequence[Variable], npz: IO[bytes]) -> None:
    """Write what `numpy.savez` would, without having an array in memory. The same weights give the same bytes."""
    with zipfile.ZipFile(npz, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for variable in found:
            member = zipfile.ZipInfo(f"{variable.name}.npy")
            with archive.open(member, "w", force_zip64=True) as array:
                header = {"descr": variable.dtype.str, "fortran_order": False, "shape": tuple(variable.dataset.shape)}
                np.lib.format.write_array_header_1_0(array, header)
                for slab in variable.slabs():
                    array.write(slab.tobytes())


if __name__ == "__main__":
    main(sys.argv[1:])
