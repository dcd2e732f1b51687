"""Deletes rows and files without getting into the way of others.

They are those of jobs that users have deleted, what projects no longer keep of ended jobs, data sets without a name
that nobody uses any more, and old entries of the audit log.
"""

import logging
from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from typing import Final

from service import clock
from service.db import Database
from service.storage import Storage
from service.store import audit, datasets, deletions, removals
from service.store.removals import Removed

PAUSE_SECONDS: Final = 0.05
"""Between two steps, so that others who wait to write to SQLite get their turn."""

DATASETS: Final = 100
"""Data sets that one step deletes."""

AUDIT_ENTRIES: Final = 1_000
"""Entries of the audit log that one step deletes."""

_logger = logging.getLogger(__name__)


def purge(database: Database, storage: Storage, stopping: Event) -> None:
    """Delete all that belongs to deleted jobs, until nothing is left or `stopping` is set. Several may purge at once.

    Raises:
        DatabaseUnavailable: what was deleted before stays deleted; the sweeper deletes files that were left.
    """
    while True:
        with database.write() as session:
            keys = deletions.delete_some(session)
        if keys is None:
            return
        storage.discard_all(keys)
        if stopping.wait(PAUSE_SECONDS):
            return


def apply_retention(database: Database, storage: Storage, stopping: Event) -> None:
    """Remove what projects no longer keep of ended jobs, until nothing is left or `stopping` is set.

    Several may do so at once.

    Raises:
        DatabaseUnavailable: what was removed before stays removed; the sweeper deletes files that were left.
    """
    for removed in removals_of(database, storage):
        if removed.rows:
            figures = {"rows": removed.rows, "files": len(removed.keys), "bytes": removed.bytes}
            _logger.info("What projects no longer keep was removed.", extra=figures)
        if stopping.wait(PAUSE_SECONDS):
            return


def removals_of(database: Database, storage: Storage) -> Iterator[Removed]:
    """Remove what projects no longer keep of ended jobs, and yield what each step has removed."""
    while True:
        with database.write() as session:
            removed = removals.remove_some(session)
        if removed is None:
            return
        storage.discard_all(removed.keys)
        yield removed


def purge_unnamed_datasets(database: Database, storage: Storage, unused_for: timedelta, stopping: Event) -> None:
    """Delete the data sets without a name that no job needs, or has used for this long. Several may purge at once.

    Raises:
        DatabaseUnavailable: what was deleted before stays deleted; the sweeper deletes files that were left.
    """
    while not stopping.is_set():
        with database.write() as session:
            keys = datasets.delete_unused(session, unused_for, DATASETS)
        if not keys:
            return
        for key in keys:
            storage.discard(key)
        _logger.info("Unused data sets without a name were deleted.", extra={"datasets": len(keys)})
        stopping.wait(PAUSE_SECONDS)


def purge_audit_log(database: Database, kept_for: timedelta, stopping: Event) -> None:
    """Delete the entries of the audit log that are older. Several may purge at once.

    Raises:
        DatabaseUnavailable: what was deleted before stays deleted.
    """
    while not stopping.is_set():
        with database.write() as session:
            deleted = audit.delete_old(session, clock.now(session) - kept_for, AUDIT_ENTRIES)
        if deleted < AUDIT_ENTRIES:
            return
        stopping.wait(PAUSE_SECONDS)
