"""What every store of files can do, wherever it keeps them."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

_logger = logging.getLogger(__name__)


class StorageError(OSError):
    """The store cannot be reached, or refuses: that says nothing of the file."""


class Storage(ABC):
    """Shared by all API processes and workers, and by their threads.

    A file appears under its key whole or not at all, and outlives a power cut once `put` has returned. Every method
    raises OSError where the store fails, StoreFailed for one on another machine, and ValueError for what is no key.
    """

    @abstractmethod
    def temporary_folder(self) -> Path:
        """Where to write a file that is to be `put`, on this machine."""

    @abstractmethod
    def put(self, key: str, source: Path) -> None:
        """Moves a finished file to its key.

        Raises:
            OSError: it could not be stored; `source` is still there.
        """

    @abstractmethod
    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` on, in chunks. The file is opened at once: it can be deleted while it is read.

        Raises:
            FileNotFoundError: nothing is stored under this key.
        """

    @abstractmethod
    def size(self, key: str) -> int:
        """In bytes.

        Raises:
            FileNotFoundError: nothing is stored under this key.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """What is not there counts as deleted."""

    def discard(self, key: str) -> None:
        """Deletes a file that nothing points at any more: where that fails, it is left to the sweeper."""
        try:
            self.delete(key)
        except OSError as error:
            _logger.warning("A needless file could not be deleted.", extra={"key": key, "error": str(error)})

    @abstractmethod
    def old_keys(self, older_than: timedelta) -> Iterator[str]:
        """The keys of the files that were put so long ago, in no order."""

    @abstractmethod
    def delete_old_incoming(self, older_than: timedelta) -> list[str]:
        """Deletes what was begun in the temporary folder and not gone on with for so long; its names."""

    @abstractmethod
    def delete_old_empty_folders(self, older_than: timedelta) -> None:
        """Deletes the folders of jobs in which nothing is, nor was for so long."""

    @abstractmethod
    def local_path(self, key: str) -> Path | None:
        """Where the file lies on this machine, to be read only; None where it must be fetched."""

    @abstractmethod
    def signed_url(self, key: str) -> str | None:
        """An address at which whoever has it can GET the file for a few minutes; None where it must be streamed.

        Raises:
            FileNotFoundError: nothing is stored under this key.
        """

    @abstractmethod
    def check(self) -> None:
        """Raises OSError where no file can be stored."""
