"""Deletes the rows and files of jobs that users have deleted, without getting into the way of others."""

from threading import Event
from typing import Final

from service.db import Database
from service.storage import Storage
from service.store import deletions

PAUSE_SECONDS: Final = 0.05
"""Between two steps, so that others who wait to write to SQLite get their turn."""


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
