"""Data sets on this machine where they are stored on another: those that were used last, as many as fit."""

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

from service.storage import Storage
from service.storage.fetching import fetch
from service.storage.folder import flush

_ABANDONED_SECONDS: Final = 3600.0


class DatasetCache:
    """A folder that processes of this machine may share. A data set never changes, and its sha256 is its name there."""

    def __init__(self, store: Storage, folder: Path, max_bytes: int) -> None:
        """One data set always fits, however large."""
        self._store = store
        self._folder = folder.absolute()
        self._max_bytes = max_bytes
        # One at a time: jobs that begin together mostly want the same one.
        self._fetching = Lock()

    def path(self, key: str, sha256: str, on_piece: Callable[[], None] = lambda: None) -> Path:
        """Where it lies, to be read only and at once: it goes when others are used. `on_piece`: see `fetch`.

        Raises:
            OSError: it could not be fetched, or what arrived is not what was stored.
        """
        stored_here = self._store.local_path(key)
        if stored_here is not None:
            return stored_here
        path = self._folder / f"{sha256}.npz"
        while not self._fetching.acquire(timeout=1.0):
            on_piece()
        try:
            if not path.exists():
                self._fetch(key, sha256, path, on_piece)
            with suppress(FileNotFoundError):  # as in `link`
                os.utime(path)  # used now
        finally:
            self._fetching.release()
        return path

    def link(self, key: str, sha256: str, target: Path, on_piece: Callable[[], None]) -> Path:
        """As `path`, and it stays as long as `target`, a second name for it on the same disk."""
        path = self.path(key, sha256, on_piece)
        if path.parent != self._folder:
            return path
        try:
            target.hardlink_to(path)
        except FileNotFoundError:  # another process of this machine needed the room between the two lines
            return self.link(key, sha256, target, on_piece)
        return target

    def _fetch(self, key: str, sha256: str, path: Path, on_piece: Callable[[], None]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(self._store.size(key))
        beside = self._folder / f"{secrets.token_hex(16)}.part"
        try:
            if (arrived := fetch(self._store, key, beside, on_piece)) != sha256:
                raise OSError(f"the data set {key} arrived with sha256 {arrived}, and was stored with {sha256}")
            flush(beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Lets go of those that nobody used for longest, and of what was never finished, until so many bytes fit."""
        now = time.time()
        found = sorted(
            (status.st_mtime, status.st_size, path)
            for path, status in _statuses(self._folder)
            if path.suffix == ".npz" or now - status.st_mtime > _ABANDONED_SECONDS
        )
        total = sum(each for _, each, _ in found)
        for _, each, path in found:
            if total + size <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= each


def _statuses(folder: Path) -> list[tuple[Path, os.stat_result]]:
    found = []
    for path in folder.iterdir():
        try:
            found.append((path, path.stat()))
        except FileNotFoundError:
            continue  # another process let go of it
    return found
