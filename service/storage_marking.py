"""Gives a storage and its database the same identity, so that no process takes an empty folder for its storage.

`fitqueue migrate` and `fitqueue up` do this, and nothing else does: a storage that has lost its marker has most likely
lost its disk.
"""

from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from fitqueue.errors import WrongStorage
from service.db import Database
from service.ids import new_id
from service.storage import FolderStorage, ReadIdentity, Storage
from service.store import checkpoints, datasets, storage_identity

_REMEDY: Final = (
    "Mount its disk, or correct FITQUEUE_STORAGE. If the service shall use this storage from now on, run "
    "`fitqueue migrate --adopt-storage`."
)


class NewestFile(NamedTuple):
    """A file that the database refers to."""

    key: str
    is_stored: bool


def identity_reader(database: Database) -> ReadIdentity:
    """Return a function that reads the identity which the storage must have."""

    def read() -> str | None:
        with database.read() as session:
            return storage_identity.read(session)

    return read


def mark_storage(database: Database, storage: Storage, *, adopt: bool = False) -> None:
    """Create the storage if it does not exist, and give it the identity that the database knows, or a new one.

    Args:
        storage: the storage, opened without an expected identity.
        adopt: whether to accept a storage that is not the one that the database refers to.

    Raises:
        WrongStorage: it is not.
        OSError: it cannot be used.
    """
    with database.read() as session:
        expected = storage_identity.read(session)
    found = storage.identity()
    if found is not None and found == expected:
        return
    if not adopt:
        _require_own(database, storage, found, expected)
    with database.write() as session:
        # The storage keeps an identity that it has already: the database may be new, with the rows of an old one.
        identity = storage_identity.write_if_missing(session, found or new_id("st"))
    if found != identity:
        storage.mark(identity)


def mark_folder(database_url: str, folder: Path) -> None:
    """Mark a folder as the storage of a database; see `mark_storage`."""
    with closing(Database(database_url)) as database:
        mark_storage(database, FolderStorage(folder))


def newest_file(database: Database, storage: Storage) -> NewestFile | None:
    """Return the newest checkpoint that the database refers to, or else the newest data set, and whether it is stored.

    Raises:
        OSError: the storage cannot be used.
    """
    missing = None
    while True:
        with database.read() as session:
            key = checkpoints.newest_key(session) or datasets.newest_key(session)
        if key is None:
            return None
        if key == missing:
            return NewestFile(key, is_stored=False)
        try:
            storage.size(key)
        except FileNotFoundError:
            missing = key  # unless a better checkpoint has just replaced it
        else:
            return NewestFile(key, is_stored=True)


def _require_own(database: Database, storage: Storage, found: str | None, expected: str | None) -> None:
    """Check that an unmarked storage has what the database refers to, and that another one belongs to it.

    Raises:
        WrongStorage: it does not.
    """
    try:
        file = newest_file(database, storage)
    except OSError as error:
        raise WrongStorage(f"The storage cannot be used: {error} {_REMEDY}") from error
    if file is not None and not file.is_stored:
        raise WrongStorage(f"The storage lacks {file.key}, which the database refers to. {_REMEDY}")
    if found is not None and (file is None or expected is not None):
        raise WrongStorage(f"The storage belongs to another database. {_REMEDY}")
