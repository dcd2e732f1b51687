"""Files that must not be lost: checkpoints and data sets, each under a key of the service's own making.

A file appears under its key whole or not at all, and outlives a power cut once `put` has returned.
"""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from service.store.leases import Lease

_KEY: Final = re.compile(r"(artifacts|checkpoints|datasets|snapshots)(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){1,3}")
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
        target.parent.mkdir(parents=True, exist_ok=True)
        _flush(source)
        try:
            source.replace(target)
        except OSError as error:
            if not _on_another_disk(error):
                raise
            beside = self.temporary_folder() / secrets.token_hex(16)
            try:
                shutil.copyfile(source, beside)
                _flush(beside)
                beside.replace(target)
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

    def local_path(self, key: str) -> Path:
        """Where the file lies on this machine. To be read only.

        Raises:
            ValueError: this is no key that the service makes.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(f"'{key}' is no key of the store.")
        return self._root / key


def _on_another_disk(error: OSError) -> bool:
    return error.errno == errno.EXDEV


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
