"""Deletes files from the storage that a process left behind when it died at a bad moment.

In the middle of an upload it leaves an unfinished file. Between a file and its row, or between the deletion of a row
and that of its file, it leaves a file that no row refers to.
"""

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Final

from service.db import Database
from service.storage import Storage
from service.store import files

MIN_AGE: Final = timedelta(days=1)
"""Longer than any file waits for its row, or than an upload pauses."""

BATCH: Final = 500

_logger = logging.getLogger(__name__)


def sweep(database: Database, storage: Storage, min_age: timedelta = MIN_AGE) -> list[str]:
    """Delete unreferenced files of at least this age; return their keys and names. Several may sweep at once.

    The storage must belong to this database alone, because its rows do not refer to the files of another. Nothing is
    deleted if the database knows none of the files, like an empty one, or one that was named by mistake.

    Raises:
        DatabaseUnavailable: what was looked at before is swept.
    """
    batches = list(_batches(storage.old_keys(min_age)))
    if batches and not any(_knows_any(database, keys) for keys in batches):
        _logger.error("The database knows none of the files in the storage; nothing is swept.")
        return []
    swept = [key for keys in batches for key in _sweep_batch(database, storage, keys)]
    swept += storage.delete_old_incoming(min_age)
    storage.delete_old_empty_folders(min_age)
    if swept:
        _logger.info("Unreferenced files were deleted.", extra={"files": len(swept)})
    return swept


def _knows_any(database: Database, keys: list[str]) -> bool:
    with database.read() as session:
        return files.knows_any(session, keys)


def _sweep_batch(database: Database, storage: Storage, keys: list[str]) -> list[str]:
    with database.read() as session:
        unreferenced = files.unreferenced(session, keys)
    for key in unreferenced:
        storage.delete(key)
    return unreferenced


def _batches(keys: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(keys, BATCH)):
        yield batch
