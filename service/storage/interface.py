"""What every storage of files can do, wherever it keeps them."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

_logger = logging.getLogger(__name__)


class StorageError(OSError):
    """The storage cannot be reached, or refuses. This says nothing about the file."""


class StoredFile(NamedTuple):
    """A file in a storage."""

    key: str
    size: int


class Storage(ABC):
    """Files under keys. All API processes, workers and their threads share it.

    A file appears under its key complete or not at all, and survives a power cut once `put` has returned. Every method
    raises OSError if the storage fails (StorageError if it is not there, or on another machine), and ValueError for a
    bad key.
    """

    @abstractmethod
    def verify(self) -> None:
        """Check that this is the storage of the database, and not the empty folder where its disk was mounted.

        Raises:
            StorageError: it is not, or nobody can tell.
        """

    @abstractmethod
    def identity(self) -> str | None:
        """Return what the storage says about itself; None if it was never marked.

        Raises:
            OSError: it cannot be read.
        """

    @abstractmethod
    def mark(self, identity: str) -> None:
        """Give the storage this identity; create its folder if that does not exist. Nothing else creates it.

        Raises:
            OSError: it cannot be written.
        """

    @abstractmethod
    def temporary_folder(self) -> Path:
        """Return the local folder in which to write a file before `put`."""

    @abstractmethod
    def put(self, key: str, source: Path) -> None:
        """Move a finished file to its key.

        Raises:
            OSError: it could not be stored; `source` still exists.
        """

    @abstractmethod
    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return the bytes from `start` on, in chunks. The file is opened now, so it can be deleted while it is read.

        Raises:
            FileNotFoundError: nothing is stored under this key.
        """

    @abstractmethod
    def size(self, key: str) -> int:
        """Return the size in bytes.

        Raises:
            FileNotFoundError: nothing is stored under this key.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete a file. A missing one counts as deleted."""

    def discard(self, key: str) -> None:
        """Delete a file that nothing refers to any more. If that fails, the sweeper deletes it later."""
        try:
            self.delete(key)
        except OSError as error:
            _logger.warning("An unreferenced file could not be deleted.", extra={"key": key, "error": str(error)})

    def discard_all(self, keys: Iterable[str]) -> None:
        """Delete several files as `discard` does."""
        for key in keys:
            self.discard(key)

    @abstractmethod
    def files(self, kind: str) -> Iterator[StoredFile]:
        """Return all files of a kind, in no order."""

    @abstractmethod
    def old_keys(self, older_than: timedelta) -> Iterator[str]:
        """Return the keys of the files that were put at least this long ago, in no order."""

    @abstractmethod
    def delete_old_incoming(self, older_than: timedelta) -> list[str]:
        """Delete files in the temporary folder that nobody wrote to for this long; return their names."""

    @abstractmethod
    def delete_old_empty_folders(self, older_than: timedelta) -> None:
        """Delete the folders of jobs and backups that have been empty for this long."""

    @abstractmethod
    def local_path(self, key: str) -> Path | None:
        """Return where the file is on this machine, for reading only; None if it must be fetched."""

    @abstractmethod
    def signed_url(self, key: str) -> str | None:
        """Return an address from which anybody can GET the file for some minutes; None if it must be streamed.

        Raises:
            FileNotFoundError: nothing is stored under this key.
        """

    @abstractmethod
    def probe(self) -> None:
        """Store a small file, to see whether that works.

        Raises:
            OSError: it does not.
        """
