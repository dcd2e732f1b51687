"""Inspects an uploaded file: an `.npz` of arrays, or a single `.npy`."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from fitqueue.datasets import SINGLE_ARRAY, ArrayInfo
from fitqueue.errors import Fault, InvalidDataset
from fitqueue.views import LeftOutArray
from service.npz.headers import MAGIC, NotNumbers, Rejected, read_header
from service.npz.members import BoundedFile, Limits, array_name, is_array, members_of

_MAX_POINTER: Final = 160
_DEFAULT_LIMITS: Final = Limits()
_NOT_A_ZIP_FILE: Final = "it does not end as a zip file does, so it is another kind of file, or its end is missing"


@dataclass(frozen=True)
class Inspection:
    """What an uploaded file holds.

    Attributes:
        arrays: the arrays by name, in the order of the file.
        left_out: the members that nobody can train on.
    """

    arrays: dict[str, ArrayInfo] = field(default_factory=dict)
    left_out: list[LeftOutArray] = field(default_factory=list)


def inspect(path: Path, max_bytes: int, limits: Limits = _DEFAULT_LIMITS) -> Inspection:
    """Return what a file holds. It is read once, in chunks.

    Raises:
        InvalidDataset: it has no array of plain numbers, an array of it cannot be read, or its arrays take more than
            `max_bytes`; `errors` names each array that is at fault.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                return _single(path, max_bytes)
        with path.open("rb") as file, zipfile.ZipFile(BoundedFile(file)) as archive:
            return _several(archive, max_bytes, limits)
    except (zipfile.BadZipFile, Rejected, OSError, EOFError, ValueError, NotImplementedError) as error:
        reason = _NOT_A_ZIP_FILE if str(error) == "File is not a zip file" else str(error)
        raise InvalidDataset(f"The file is not an .npz as numpy.savez writes it: {reason}.") from error


def _single(path: Path, max_bytes: int) -> Inspection:
    size = path.stat().st_size
    if size > max_bytes:
        raise Rejected(f"its array takes {size} bytes; at most {max_bytes} are accepted")
    try:
        with path.open("rb") as file:
            return Inspection({SINGLE_ARRAY: _array(file, size)})
    except NotNumbers as error:
        raise Rejected(str(error)) from error


def _several(archive: zipfile.ZipFile, max_bytes: int, limits: Limits) -> Inspection:
    members = members_of(archive, max_bytes, limits)
    inspection, faults = Inspection(), []
    for member in members:
        try:
            _add(inspection, archive, member, limits)
        except Rejected as error:
            faults.append(Fault(pointer=_pointer(member), code="invalid_array", message=str(error)))
    if faults:
        raise InvalidDataset(f"{len(faults)} of {len(members)} arrays are not accepted.", errors=faults)
    if not inspection.arrays:
        faults = [Fault(pointer=left.name, code="invalid_array", message=left.reason) for left in inspection.left_out]
        raise InvalidDataset("The file has no array of plain numbers.", errors=faults)
    return inspection


def _add(inspection: Inspection, archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> None:
    """Add a member to those that were inspected before it.

    Raises:
        Rejected: it is an array that is not accepted.
    """
    if not is_array(member):
        inspection.left_out.append(LeftOutArray(name=_pointer(member), reason="it is not an array in the .npy format"))
        return
    name = array_name(member, limits)
    if name in inspection.arrays:
        raise Rejected("two arrays have this name")
    try:
        with _unreadable_is_rejected(), archive.open(member) as file:
            inspection.arrays[name] = _array(file, member.file_size)
    except NotNumbers as error:
        inspection.left_out.append(LeftOutArray(name=name, reason=str(error)))


def _array(file: IO[bytes], size: int) -> ArrayInfo:
    from service.npz.values import read_values  # it loads numpy, which the API needs for uploads only

    header = read_header(file)
    if header.declared_bytes != size:
        raise Rejected(f"its header declares {header.declared_bytes} bytes, but the file holds {size}")
    return ArrayInfo(header.shape, header.dtype, read_values(file, header))


@contextmanager
def _unreadable_is_rejected() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise Rejected(f"it cannot be read: {error}") from error


def _pointer(member: zipfile.ZipInfo) -> str:
    return member.filename[:_MAX_POINTER]
