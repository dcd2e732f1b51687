"""Local copies of stored files."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from service.storage.interface import Storage


def fetch(storage: Storage, key: str, target: Path, on_chunk: Callable[[], None] = lambda: None) -> str:
    """Copy a stored file to `target` and return the sha256 of what arrived.

    Args:
        on_chunk: called after each chunk; what it raises ends the copy.

    Raises:
        OSError: the file could not be read or written.
    """
    sha256 = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in storage.open(key):
            file.write(chunk)
            sha256.update(chunk)
            on_chunk()
    return sha256.hexdigest()


def reads_back(storage: Storage, key: str, sha256: str, on_chunk: Callable[[], None] = lambda: None) -> bool:
    """Tell whether a stored file has this sha256 when it is read from the storage.

    Args:
        on_chunk: called after each chunk; what it raises ends the reading.

    Raises:
        OSError: it could not be read.
    """
    actual = hashlib.sha256()
    for chunk in storage.open(key):
        actual.update(chunk)
        on_chunk()
    return actual.hexdigest() == sha256
