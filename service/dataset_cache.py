"""Local copies of data sets that are stored elsewhere: the most recently used ones, as many as fit."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

from service.storage import Storage
from service.storage.fetching import fetch
from service.storage.folder import flush

_ABANDONED_SECONDS: Final = 3600.0


class DatasetCache:
    """A folder that processes of this machine may share. A data set never changes; its file is named by its sha256."""

    def __init__(self, storage: Storage, folder: Path, max_bytes: int) -> None:
        """Create the cache. One data set always fits, however large."""
        self._storage = storage
        self._folder = folder.absolute()
        self._max_bytes = max_bytes
        # One fetch at a time: jobs that start together mostly want the same data set.
        self._fetching = Lock()
        self._chunks = 0
        """How many have arrived of all fetches, which says whether one makes progress."""

    def path(self, key: str, sha256: str, on_chunk: Callable[[], None] = lambda: None) -> Path:
        """Return where the data set is on this machine, to be read at once: it goes when others need the room.

        Args:
            on_chunk: called again and again while chunks arrive, here or in the fetch that it waits for; what it raises
                ends the call.

        Raises:
            OSError: it could not be fetched, or what arrived is not what was stored.
        """
        stored_here = self._storage.local_path(key)
        if stored_here is not None:
            with suppress(FileNotFoundError):  # whoever reads it says so
                next(self._storage.open(key), None)  # raises if the storage is down
            return stored_here
        path = self._folder / f"{sha256}.npz"
        seen = -1
        while not self._fetching.acquire(timeout=1.0):
            if seen != self._chunks:
                seen = self._chunks
                on_chunk()
        try:
            if not path.exists():
                self._fetch(key, sha256, path, on_chunk)
            with suppress(FileNotFoundError):  # another process needed the room, as in `link`
                os.utime(path)  # the time of its last use
        finally:
            self._fetching.release()
        return path

    def link(self, key: str, sha256: str, target: Path, on_chunk: Callable[[], None]) -> Path:
        """Return the data set under the name `target`, a hard link that keeps it on the disk. See `path`."""
        path = self.path(key, sha256, on_chunk)
        if path.parent != self._folder:
            return path
        try:
            target.hardlink_to(path)
        except FileNotFoundError:  # another process of this machine needed the room between the two calls
            return self.link(key, sha256, target, on_chunk)
        return target

    def _fetch(self, key: str, sha256: str, path: Path, on_chunk: Callable[[], None]) -> None:
        def count() -> None:
            self._chunks += 1
            on_chunk()

        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(self._storage.size(key))
        temporary = self._folder / f"{secrets.token_hex(16)}.part"
        try:
            if (arrived := fetch(self._storage, key, temporary, count)) != sha256:
                raise OSError(f"the data set {key} arrived with sha256 {arrived}, and was stored with {sha256}")
            flush(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Delete the least recently used data sets, and abandoned fetches, until this many bytes fit."""
        now = time.time()
        files = sorted(
            (status.st_mtime, status.st_size, path)
            for path, status in _files_with_status(self._folder)
            if path.suffix == ".npz" or now - status.st_mtime > _ABANDONED_SECONDS
        )
        total = sum(file_size for _, file_size, _ in files)
        for _, file_size, path in files:
            if total + size <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= file_size


def _files_with_status(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process deleted it
            yield path, path.stat()
