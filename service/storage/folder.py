"""Files that must not be lost: checkpoints and data sets, each under a key of the service's own making.

A file appears under its key whole or not at all, and outlives a power cut once `put` has returned.
"""

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from service.store.leases import Lease

_KINDS: Final = ("artifacts", "checkpoints", "datasets", "snapshots")
_KEY: Final = re.compile(rf"({'|'.join(_KINDS)})(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){{1,3}}")
_CHUNK: Final = 256 * 1024


def checkpoint_key(lease: Lease, format: str) -> str:
    """A key that was never used: it carries the attempt, so that one that lost its lease can overwrite nothing."""
    return f"checkpoints/{lease.job_id}/{lease.attempt}-{secrets.token_hex(8)}.{format}"


def artifact_key(lease: Lease) -> str:
    """As a checkpoint's: never used before."""
    return f"artifacts/{lease.job_id}/{lease.attempt}-{secrets.token_hex(8)}"


def snapshot_key(lease: Lease) -> str:
    """As a checkpoint's: never used before."""
    return f"snapshots/{lease.job_id}/{lease.attempt}-{secrets.token_hex(8)}"


def dataset_key(dataset_id: str) -> str:
    return f"datasets/{dataset_id}.npz"


class FileStore:
    """A store in one folder, which all API processes and workers share."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def temporary_folder(self) -> Path:
        """Where to write a file that is to be `put`: on the same disk, so that it need not be copied."""
        folder = self._root / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def put(self, key: str, source: Path) -> None:
        """Moves a finished file to its key.

        Raises:
            OSError: it could not be stored; `source` is still there.
        """
        target = self.local_path(key)
        os.utime(source)  # how old a stored file is counts from here
        _flush(source)
        try:
            _move(source, target)
        except OSError as error:
            if not _on_another_disk(error):
                raise
            beside = self.temporary_folder() / secrets.token_hex(16)
            try:
                shutil.copyfile(source, beside)
                _flush(beside)
                _move(beside, target)
            finally:
                beside.unlink(missing_ok=True)
            source.unlink()
        _flush(target.parent)

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` on, in chunks. The file is opened at once: it can be deleted while it is read.

        Raises:
            FileNotFoundError: nothing is stored under this key.
        """
        file = self.local_path(key).open("rb")

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
        """In bytes.

        Raises:
            FileNotFoundError: nothing is stored under this key.
        """
        return self.local_path(key).stat().st_size

    def delete(self, key: str) -> None:
        """What is not there counts as deleted."""
        self.local_path(key).unlink(missing_ok=True)

    def old_keys(self, older_than: timedelta) -> Iterator[str]:
        """The keys of the files that were put so long ago, in no order."""
        for kind in _KINDS:
            for folder, _, names in os.walk(self._root / kind):
                for path in (Path(folder, name) for name in names):
                    key = path.relative_to(self._root).as_posix()
                    if _KEY.fullmatch(key) and _is_older(path, older_than):
                        yield key

    def delete_old_incoming(self, older_than: timedelta) -> list[str]:
        """Deletes what was begun in the temporary folder and not gone on with for so long; its names."""
        begun = self.temporary_folder()
        left = [path for path in begun.iterdir() if path.is_file() and _is_older(path, older_than)]
        for path in left:
            path.unlink(missing_ok=True)
        return [path.relative_to(self._root).as_posix() for path in left]

    def delete_old_empty_folders(self, older_than: timedelta) -> None:
        """Deletes the folders of jobs in which nothing is, nor was for so long."""
        for kind in _KINDS:
            for folder, _, _ in os.walk(self._root / kind, topdown=False):
                path = Path(folder)
                if path.parent != self._root and _is_older(path, older_than):
                    with suppress(OSError):  # something lies in it
                        path.rmdir()

    def local_path(self, key: str) -> Path:
        """Where the file lies on this machine. To be read only.

        Raises:
            ValueError: this is no key that the service makes.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(f"'{key}' is no key of the store.")
        return self._root / key


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except FileNotFoundError:
        # The folder had been empty for long, and was deleted between the two lines.
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)


def _is_older(path: Path, age: timedelta) -> bool:
    try:
        return path.stat().st_mtime < time.time() - age.total_seconds()
    except FileNotFoundError:
        return False


def _on_another_disk(error: OSError) -> bool:
    return error.errno == errno.EXDEV


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
