"""The members of an `.npz`: which of them are arrays, and what an archive may hold."""

import zipfile
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from service.npz.headers import Rejected

MAX_READ: Final = 4 * 1024**2
"""Bytes of the file to read at once. Python's zip reader reads the whole list of members, however long it is."""


@dataclass(frozen=True)
class Limits:
    """How many arrays an archive may hold, and how long their names may be."""

    arrays: int = 64
    name: int = 128


SUFFIX: Final = ".npy"
# What file managers add to every archive that they make.
_ADDED_FOLDER: Final = "__MACOSX/"
_ADDED_FILES: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


class BoundedFile:
    """A file with bounded reads, for a reader that trusts the sizes in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(MAX_READ + 1 if size < 0 else min(size, MAX_READ + 1))
        if len(data) > MAX_READ:
            raise Rejected("its list of members is too long")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def members_of(archive: zipfile.ZipFile, max_bytes: int, limits: Limits) -> list[zipfile.ZipInfo]:
    """Return the members that a user put into an archive.

    Raises:
        Rejected: there are none or too many, or they declare too many bytes.
    """
    members = [member for member in archive.infolist() if not _is_added(member)]
    if not members:
        raise Rejected("it holds no arrays")
    if len(members) > limits.arrays:
        raise Rejected(f"it holds {len(members)} arrays; at most {limits.arrays} are accepted")
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise Rejected(f"its arrays take {total} bytes; at most {max_bytes} are accepted")
    return members


def is_array(member: zipfile.ZipInfo) -> bool:
    """Return whether a member is an array, by its name."""
    return member.filename.endswith(SUFFIX)


def array_name(member: zipfile.ZipInfo, limits: Limits) -> str:
    """Return the name of an array: whatever `numpy.savez` accepts and a person can read.

    Raises:
        Rejected: a person cannot read it, or it looks like a path that leads elsewhere.
    """
    name = member.filename.removesuffix(SUFFIX)
    has_odd_folder = any(folder in {"", ".", ".."} for folder in name.split("/"))
    if not name.isprintable() or len(name) > limits.name or has_odd_folder:
        raise Rejected(f"expected a name of 1 to {limits.name} printable characters, without empty folders and '..'")
    if not is_readable(member):
        raise Rejected("expected a member that is stored or deflated, and not encrypted")
    return name


def is_readable(member: zipfile.ZipInfo) -> bool:
    """Return whether a member is stored or deflated, and not encrypted."""
    return not member.flag_bits & 1 and member.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def _is_added(member: zipfile.ZipInfo) -> bool:
    name = member.filename.rpartition("/")[2]
    is_folder = member.filename.endswith("/")  # not `is_dir`, which raises an IndexError for an empty name
    return is_folder or member.filename.startswith(_ADDED_FOLDER) or name in _ADDED_FILES
