"""Whether a storage is the one that the database refers to: a file in it names its identity, which the database knows.

Without this, a folder whose disk is not mounted is an empty storage that works.
"""

from collections.abc import Callable
from typing import Final

from fitqueue.errors import DatabaseUnavailable
from service.storage.interface import StorageError

MARKER: Final = "storage-id"
"""The name of that file. No key has this form."""

ReadIdentity = Callable[[], str | None]
"""Returns an identity; None if there is none yet."""


class IdentityCheck:
    """Compares the two. The database is asked until they are equal, and again if the file changes."""

    def __init__(self, name: str, read_marker: ReadIdentity, read_expected: ReadIdentity) -> None:
        """Prepare to compare.

        Args:
            name: the storage, as messages call it.
            read_marker: returns what the file in the storage says.
            read_expected: returns what the database knows.
        """
        self._name = name
        self._read_marker = read_marker
        self._read_expected = read_expected
        self._verified: str | None = None

    @property
    def has_succeeded(self) -> bool:
        """Whether the two were equal before."""
        return self._verified is not None

    def verify(self) -> None:
        """Compare them now. A storage that `fitqueue migrate` has not marked yet is accepted.

        Raises:
            StorageError: they differ, or the database is down.
        """
        expected = self._verified or self._ask_database()
        if expected is None:
            return
        found = self._read_marker()
        if found != expected:
            expected = self._ask_database()
        if found != expected:
            raise StorageError(self._problem(found))
        self._verified = expected

    def _ask_database(self) -> str | None:
        try:
            return self._read_expected()
        except DatabaseUnavailable as error:
            raise StorageError(f"Nobody can tell whether {self._name} belongs to the database: {error}") from error

    def _problem(self, found: str | None) -> str:
        if found is not None:
            return f"{self._name} belongs to another database."
        return f"{self._name} has no file '{MARKER}': its disk is not mounted, or it belongs to another database."
