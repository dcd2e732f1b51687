"""Inspects an uploaded `.npz` without reading its arrays: their names, shapes and dtypes.

An `.npz` is a zip file of `.npy` files, each a short header and the numbers. We parse the headers with a few lines of
our own instead of NumPy: they accept less than NumPy does (plain numbers only), and the API does not have to load it.
"""

import ast
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from fitqueue.datasets import ArrayInfo
from fitqueue.errors import Fault, InvalidDataset
from fitqueue.text import truncate

MAX_ARRAYS: Final = 64
MAX_AXES: Final = 16
MAX_HEADER: Final = 4096
MAX_READ: Final = 4 * 1024**2
"""Bytes of the file to read at once. Python's zip reader reads the whole list of members, however long it is."""

_MAGIC: Final = b"\x93NUMPY"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_DTYPES: Final = {
    "|b1": ("bool", 1),
    "|i1": ("int8", 1),
    "|u1": ("uint8", 1),
    **{f"<{kind[0]}{size}": (f"{kind}{8 * size}", size) for kind in ("int", "uint", "float") for size in (2, 4, 8)},
}


class _Rejected(Exception):
    """An array, or a file, that is not accepted; the message says why."""


class _BoundedFile:
    """A file with bounded reads, for a reader that trusts the sizes in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(MAX_READ + 1 if size < 0 else min(size, MAX_READ + 1))
        if len(data) > MAX_READ:
            raise _Rejected("its list of members is too long")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def inspect(
    path: Path, max_bytes: int, *, max_arrays: int = MAX_ARRAYS, is_name: Callable[[str], object] = _NAME.fullmatch
) -> dict[str, ArrayInfo]:
    """Return the arrays by name, in the order of the file.

    Args:
        max_arrays: how many it may hold.
        is_name: tells whether an array may have this name.

    Raises:
        InvalidDataset: it is not an `.npz` of plain numeric arrays, or they take more than `max_bytes`; `errors` names
            each array that is not accepted.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(_BoundedFile(file)) as archive:
            members = archive.infolist()
            _check_members(members, max_bytes, max_arrays)
            return _arrays(archive, members, is_name)
    except (zipfile.BadZipFile, _Rejected, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise InvalidDataset(f"The file is not an .npz as numpy.savez writes it: {error}.") from error


def _check_members(members: list[zipfile.ZipInfo], max_bytes: int, max_arrays: int) -> None:
    if not members:
        raise _Rejected("it holds no arrays")
    if len(members) > max_arrays:
        raise _Rejected(f"it holds {len(members)} arrays; at most {max_arrays} are accepted")
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise _Rejected(f"its arrays take {total} bytes; at most {max_bytes} are accepted")


def _arrays(
    archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], is_name: Callable[[str], object]
) -> dict[str, ArrayInfo]:
    faults: list[Fault] = []
    arrays: dict[str, ArrayInfo] = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        try:
            if name in arrays:
                raise _Rejected("two arrays have this name")
            arrays[name] = _array(archive, member, name, is_name)
        except _Rejected as error:
            fault = Fault(pointer=member.filename[:160], code="invalid_array", message=str(error))
            faults.append(fault)
    if faults:
        raise InvalidDataset(f"{len(faults)} of {len(members)} arrays are not accepted.", errors=faults)
    return arrays


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, is_name: Callable[[str], object]) -> ArrayInfo:
    if not member.filename.endswith(".npy") or not is_name(name):
        raise _Rejected("expected a name of letters, digits, '_', '.' and '-' that ends in .npy")
    if member.flag_bits & 1 or member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _Rejected("expected a member that is stored or deflated, and not encrypted")
    try:
        with archive.open(member) as file:
            header, header_size = _read_header(file)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise _Rejected(f"it cannot be read: {error}") from error
    shape, dtype, item_size = _parse_header(header)
    declared = header_size + math.prod(shape) * item_size
    if declared != member.file_size:
        raise _Rejected(f"its header declares {declared} bytes, but the file holds {member.file_size}")
    return ArrayInfo(shape, dtype)


def _read_header(file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """Return the header's fields and the number of bytes before the numbers. The format is NumPy's NEP 1."""
    prefix = _read_exactly(file, 8)
    if prefix[:6] != _MAGIC or prefix[6] not in {1, 2, 3}:
        raise _Rejected("expected an array in the .npy format, versions 1 to 3")
    length_format = "<H" if prefix[6] == 1 else "<I"
    length_size = struct.calcsize(length_format)
    [length] = struct.unpack(length_format, _read_exactly(file, length_size))
    if length > MAX_HEADER:
        raise _Rejected(f"its header is {length} bytes long; at most {MAX_HEADER} are accepted")
    try:
        header = ast.literal_eval(_read_exactly(file, length).decode("latin-1").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise _Rejected("its header cannot be parsed") from error
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise _Rejected("expected a header with descr, fortran_order and shape")
    return header, 8 + length_size + length


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _Rejected("it ends within its header")
    return data


def _parse_header(header: dict[str, Any]) -> tuple[tuple[int, ...], str, int]:
    """Return shape, dtype and the bytes of one number."""
    descr, shape = header["descr"], header["shape"]
    if not isinstance(descr, str) or descr not in _DTYPES:
        known = ", ".join(dict.fromkeys(name for name, _ in _DTYPES.values()))
        raise _Rejected(f"its type is {truncate(str(descr), 60)!r}; expected one of {known}, little-endian")
    if header["fortran_order"] is not False:
        raise _Rejected("it is in Fortran order; save numpy.ascontiguousarray(array)")
    if not isinstance(shape, tuple) or len(shape) > MAX_AXES or not all(_is_length(axis) for axis in shape):
        raise _Rejected(f"its shape is {truncate(str(shape), 60)}; expected at most {MAX_AXES} axes")
    dtype, item_size = _DTYPES[descr]
    return shape, dtype, item_size


def _is_length(axis: object) -> bool:
    return type(axis) is int and 0 <= axis < 2**40
