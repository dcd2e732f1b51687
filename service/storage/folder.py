"""A storage in one folder, which all API processes and workers share."""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from service.storage.identity import MARKER, IdentityCheck, ReadIdentity
from service.storage.interface import Storage, StorageError, StoredFile
from service.storage.keys import BACKUPS, KINDS, is_key, validated

_CHUNK: Final = 256 * 1024


class FolderStorage(Storage):
    """Writes a temporary file, flushes it and renames it."""

    def __init__(self, root: Path, read_identity: ReadIdentity = lambda: None) -> None:
        """Create the storage.

        Args:
            read_identity: returns the identity that the folder must have; None if it has none yet.
        """
        self._root = root.absolute()
        self._check = IdentityCheck(f"The folder {self._root}", self.identity, read_identity)

    def verify(self) -> None:
        try:
            if not self._root.is_dir():
                raise StorageError(f"The folder {self._root} does not exist: it is not mounted, or was never created.")
            self._check.verify()
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"The folder {self._root} cannot be read: {error}") from error

    def identity(self) -> str | None:
        try:
            return (self._root / MARKER).read_text().strip() or None
        except FileNotFoundError:
            return None

    def mark(self, identity: str) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        temporary = self._root / f"{MARKER}.{secrets.token_hex(8)}"
        try:
            temporary.write_text(f"{identity}\n")
            flush(temporary)
            temporary.replace(self._root / MARKER)
        finally:
            temporary.unlink(missing_ok=True)
        flush(self._root)

    def temporary_folder(self) -> Path:
        """Return a folder on the same disk, so that `put` need not copy."""
        self.verify()
        folder = self._root / "incoming"
        folder.mkdir(exist_ok=True)
        return folder

    def put(self, key: str, source: Path) -> None:
        target = self.local_path(key)
        self.verify()
        os.utime(source)  # the age of a stored file counts from now
        flush(source)
        try:
            self._move_or_copy(source, target)
            flush(target.parent)
        except OSError:
            self._put_back(source, target)
            self.verify()  # without its disk, the folder fails in other ways
            raise
        try:
            self.verify()  # the disk may have gone a moment ago, and the folder without it taken the file
        except StorageError:
            self._put_back(source, target)
            raise
        source.unlink(missing_ok=True)

    def _put_back(self, source: Path, target: Path) -> None:
        if not source.exists():
            with suppress(OSError):
                target.replace(source)

    def _move_or_copy(self, source: Path, target: Path) -> None:
        """Move the file, or copy it from another disk and leave the source."""
        try:
            self._move(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(source, target)

    def _move(self, source: Path, target: Path) -> None:
        self._make_folder(target.parent)
        try:
            source.replace(target)
        except FileNotFoundError:
            # The folder had long been empty, and was deleted between the two calls.
            self._make_folder(target.parent)
            source.replace(target)

    def _make_folder(self, folder: Path) -> None:
        """Create a folder and those above it, but never the root."""
        missing = [path for path in (folder, *folder.parents) if path.is_relative_to(self._root) and path != self._root]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)

    def _copy(self, source: Path, target: Path) -> None:
        """Copy a file from another disk."""
        temporary = self.temporary_folder() / secrets.token_hex(16)
        try:
            shutil.copyfile(source, temporary)
            flush(temporary)
            self._move(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.verify()
        try:
            file = self.local_path(key).open("rb")
        except FileNotFoundError:
            self.verify()  # the file may be missing because the disk went a moment ago
            raise

        def chunks() -> Iterator[bytes]:
            with file:
                file.seek(start)
                left = length
                while left is None or left > 0:
                    chunk = file.read(_CHUNK if left is None else min(_CHUNK, left))
                    if not chunk:
                        return
                    left = None if left is None else left - len(chunk)
                    yield chunk

        return chunks()

    def size(self, key: str) -> int:
        self.verify()
        return self.local_path(key).stat().st_size

    def delete(self, key: str) -> None:
        self.verify()
        self.local_path(key).unlink(missing_ok=True)

    def files(self, kind: str) -> Iterator[StoredFile]:
        self.verify()
        for key, path in self._walk(kind):
            with suppress(FileNotFoundError):  # it was deleted a moment ago
                yield StoredFile(key, path.stat().st_size)

    def old_keys(self, older_than: timedelta) -> Iterator[str]:
        self.verify()
        for kind in KINDS:
            for key, path in self._walk(kind):
                if _is_older(path, older_than):
                    yield key

    def _walk(self, kind: str) -> Iterator[tuple[str, Path]]:
        for folder, _, names in os.walk(self._root / kind):
            for path in (Path(folder, name) for name in names):
                key = path.relative_to(self._root).as_posix()
                if is_key(key):
                    yield key, path

    def delete_old_incoming(self, older_than: timedelta) -> list[str]:
        return delete_old_files(self.temporary_folder(), older_than)

    def delete_old_empty_folders(self, older_than: timedelta) -> None:
        self.verify()
        for kind in (*KINDS, BACKUPS):
            for folder, _, _ in os.walk(self._root / kind, topdown=False):
                path = Path(folder)
                if path.parent != self._root and _is_older(path, older_than):
                    with suppress(OSError):  # it is not empty
                        path.rmdir()

    def local_path(self, key: str) -> Path:
        return self._root / validated(key)

    def signed_url(self, key: str) -> str | None:  # noqa: ARG002 -- a folder has no addresses
        return None

    def probe(self) -> None:
        (self.temporary_folder() / "probe").write_bytes(b"ok")


def delete_old_files(folder: Path, older_than: timedelta) -> list[str]:
    """Delete the files that nobody wrote to for this long; return their names, with the folder's."""
    old = [path for path in folder.iterdir() if path.is_file() and _is_older(path, older_than)]
    for path in old:
        path.unlink(missing_ok=True)
    return [f"{folder.name}/{path.name}" for path in old]


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, from memory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_older(path: Path, age: timedelta) -> bool:
    try:
        return path.stat().st_mtime < time.time() - age.total_seconds()
    except FileNotFoundError:
        return False
