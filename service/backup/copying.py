"""Copies files from one storage to another, several at a time, and compares their checksums on the way."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from service.storage import Storage

_COPIES: Final = 4
"""Files that are copied at the same time."""

OnBytes = Callable[[int], None]
"""Called with the size of each chunk that was copied, from several threads."""


class File(Protocol):
    """A file that is to be copied."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class Uncopied(NamedTuple):
    """A file that could not be copied, and why, as the end of a sentence."""

    key: str
    why: str


def copy_all(source: Storage, target: Storage, files: Sequence[File], on_bytes: OnBytes) -> list[Uncopied]:
    """Copy files under their keys; return those that are missing or damaged.

    Raises:
        OSError: a storage failed.
    """
    with ThreadPoolExecutor(_COPIES) as executor:
        return [file for file in executor.map(lambda file: _copy(source, target, file, on_bytes), files) if file]


def fetch_verified(source: Storage, key: str, sha256: str, path: Path, on_bytes: OnBytes) -> str | None:
    """Copy a stored file to this machine. Return what is wrong with it, as the end of a sentence; None if nothing is.

    Raises:
        OSError: a storage or the disk failed.
    """
    actual = hashlib.sha256()
    try:
        chunks = source.open(key)
    except FileNotFoundError:
        return "is missing"
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            actual.update(chunk)
            on_bytes(len(chunk))
    return None if actual.hexdigest() == sha256 else "is damaged: its checksum is another one"


def _copy(source: Storage, target: Storage, file: File, on_bytes: OnBytes) -> Uncopied | None:
    temporary = target.temporary_folder() / secrets.token_hex(16)
    try:
        if why := fetch_verified(source, file.key, file.sha256, temporary, on_bytes):
            return Uncopied(file.key, why)
        target.put(file.key, temporary)
        return None
    finally:
        temporary.unlink(missing_ok=True)
