"""Copies of stored files on this machine."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from service.storage.interface import Storage


def fetch(store: Storage, key: str, target: Path, on_piece: Callable[[], None] = lambda: None) -> str:
    """Writes a copy; the sha256 of what arrived. `on_piece` is called again and again meanwhile.

    Raises:
        OSError: it could not be read or written.
    """
    sha256 = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in store.open(key):
            file.write(chunk)
            sha256.update(chunk)
            on_piece()
    return sha256.hexdigest()
