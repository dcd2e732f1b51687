"""Looks into an uploaded `.npz` without reading the arrays: what they are called, their shapes and types.

An `.npz` is a zip file of `.npy` files, each a small header and the numbers. The headers are read here by our own few
lines, not by NumPy: they take less than NumPy does (plain numbers only), and the API need not load it.
"""

import ast
import math
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from fitqueue.errors import Fault, InvalidDataset
from fitqueue.views import ArrayView

MAX_ARRAYS: Final = 64
MAX_AXES: Final = 16
MAX_HEADER: Final = 4096
LARGEST_READ: Final = 4 * 1024**2
"""Of the file at once. The list of its members is read whole by Python's reader, however long somebody made it."""

_MAGIC: Final = b"\x93NUMPY"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_DTYPES: Final = {
    "|b1": ("bool", 1),
    "|i1": ("int8", 1),
    "|u1": ("uint8", 1),
    **{f"<{kind[0]}{size}": (f"{kind}{8 * size}", size) for kind in ("int", "uint", "float") for size in (2, 4, 8)},
}


class _Unfit(Exception):
    """An array that is not taken; the message says why."""


class _BoundedFile:
    """A file whose reads are bounded, for a reader that trusts the sizes it finds."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(LARGEST_READ + 1 if size < 0 else min(size, LARGEST_READ + 1))
        if len(data) > LARGEST_READ:
            raise _Unfit("its list of members is too long")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def inspect(path: Path, max_bytes: int) -> list[ArrayView]:
    """The arrays in the order of the file.

    Raises:
        InvalidDataset: this is no `.npz` of plain numeric arrays, or they take more than `max_bytes`; `errors` names
            each array that is not taken.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(_BoundedFile(file)) as archive:
            members = archive.infolist()
            _check_members(members, max_bytes)
            return _arrays(archive, members)
    except (zipfile.BadZipFile, _Unfit, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise InvalidDataset(f"The file is no .npz, as numpy.savez writes it: {error}.") from error


def _check_members(members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    if not members:
        raise _Unfit("it holds no arrays")
    if len(members) > MAX_ARRAYS:
        raise _Unfit(f"it holds {len(members)} arrays; at most {MAX_ARRAYS} are taken")
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise _Unfit(f"its arrays take {total} bytes; at most {max_bytes} are taken")


def _arrays(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> list[ArrayView]:
    faults: list[Fault] = []
    found: dict[str, ArrayView] = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        try:
            if name in found:
                raise _Unfit("there are two of this name")
            found[name] = _array(archive, member, name)
        except _Unfit as error:
            fault = Fault(pointer=member.filename[:160], code="invalid_array", message=str(error))
            faults.append(fault)
    if faults:
        raise InvalidDataset(f"{len(faults)} of {len(members)} arrays cannot be taken.", errors=faults)
    return list(found.values())


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> ArrayView:
    if not member.filename.endswith(".npy") or not _NAME.fullmatch(name):
        raise _Unfit("expected a name of letters, digits, '_', '.' and '-' that ends in .npy")
    if member.flag_bits & 1 or member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _Unfit("expected a member that is stored or deflated, and not encrypted")
    try:
        with archive.open(member) as file:
            header, header_size = _read_header(file)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise _Unfit(f"it cannot be read: {error}") from error
    shape, dtype, item_size = _check_header(header)
    declared = header_size + math.prod(shape) * item_size
    if declared != member.file_size:
        raise _Unfit(f"its header declares {declared} bytes, and the file holds {member.file_size}")
    return ArrayView(name=name, shape=list(shape), dtype=dtype)


def _read_header(file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """The header's fields, and the bytes before the numbers. The format is NumPy's NEP 1."""
    prefix = _read_exactly(file, 8)
    if prefix[:6] != _MAGIC or prefix[6] not in {1, 2, 3}:
        raise _Unfit("expected an array in the .npy format, versions 1 to 3")
    length_format = "<H" if prefix[6] == 1 else "<I"
    length_size = struct.calcsize(length_format)
    [length] = struct.unpack(length_format, _read_exactly(file, length_size))
    if length > MAX_HEADER:
        raise _Unfit(f"its header is {length} bytes long; at most {MAX_HEADER} are taken")
    try:
        header = ast.literal_eval(_read_exactly(file, length).decode("latin-1").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise _Unfit("its header cannot be read") from error
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise _Unfit("expected a header with descr, fortran_order and shape")
    return header, 8 + length_size + length


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _Unfit("it ends within its header")
    return data


def _check_header(header: dict[str, Any]) -> tuple[tuple[int, ...], str, int]:
    descr, shape = header["descr"], header["shape"]
    if not isinstance(descr, str) or descr not in _DTYPES:
        known = ", ".join(dict.fromkeys(name for name, _ in _DTYPES.values()))
        raise _Unfit(f"its type is {str(descr)[:60]!r}; expected one of {known}, little-endian")
    if header["fortran_order"] is not False:
        raise _Unfit("it is in Fortran order; save numpy.ascontiguousarray(array)")
    if not isinstance(shape, tuple) or len(shape) > MAX_AXES or not all(_is_length(axis) for axis in shape):
        raise _Unfit(f"its shape is {str(shape)[:60]}; expected at most {MAX_AXES} axes")
    dtype, item_size = _DTYPES[descr]
    return shape, dtype, item_size


def _is_length(axis: object) -> bool:
    return type(axis) is int and 0 <= axis < 2**40
