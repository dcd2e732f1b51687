"""Removes from the store what a process left behind that died at a bad moment, and that nobody would find again.

In the middle of an upload it leaves a file that was never finished; between a file and its row, or between the end of a
row and that of its file, one that no row points at.
"""

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Final

from service.db import Database
from service.storage import Storage
from service.store import files

LEFT_ALONE: Final = timedelta(days=1)
"""Longer than any file waits for its row, or than an upload says nothing."""

BATCH: Final = 500

_logger = logging.getLogger(__name__)


def sweep(database: Database, store: Storage, older_than: timedelta = LEFT_ALONE) -> list[str]:
    """Deletes what is older and needless; its keys and names. Several may sweep at once.

    The store must be this database's alone: to another's files no row of it points. Nothing is deleted for a database
    that knows none of the files, as an empty one does, or one that was named by mistake.

    Raises:
        DatabaseUnavailable: what was looked at before is swept.
    """
    batches = list(_batches(store.old_keys(older_than)))
    if batches and not any(_knows_any(database, keys) for keys in batches):
        _logger.error("The database knows none of the files of the store; nothing is swept.")
        return []
    swept = [key for keys in batches for key in _sweep_needless(database, store, keys)]
    swept += store.delete_old_incoming(older_than)
    store.delete_old_empty_folders(older_than)
    if swept:
        _logger.info("Files that nothing points at were deleted.", extra={"files": len(swept)})
    return swept


def _knows_any(database: Database, keys: list[str]) -> bool:
    with database.read() as session:
        return files.knows_any(session, keys)


def _sweep_needless(database: Database, store: Storage, keys: list[str]) -> list[str]:
    with database.read() as session:
        unreferenced = files.unreferenced(session, keys)
    for key in unreferenced:
        store.delete(key)
    return unreferenced


def _batches(keys: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(keys, BATCH)):
        yield batch
