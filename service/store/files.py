"""Which stored files anything points at."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from service.models import Artifact, Checkpoint, Dataset, Job, Snapshot

_TABLES: Final = (Artifact, Checkpoint, Dataset, Snapshot)


def unreferenced(session: Session, keys: Sequence[str]) -> list[str]:
    """Those of the storage keys that no row points at, nor ever will: the files of a job that runs are its worker's.

    A worker stores a file before its row, and waits for the database in between, however long that is down.
    """
    found = [select(table.storage_key).where(table.storage_key.in_(keys)) for table in _TABLES]
    needed = {key for query in found for key in session.scalars(query)}
    owners = {_owner(key) for key in keys}
    running = set(session.scalars(select(Job.id).where(Job.id.in_(owners), Job.state == JobState.RUNNING)))
    return [key for key in keys if key not in needed and _owner(key) not in running]


def knows_any(session: Session, keys: Sequence[str]) -> bool:
    """Whether a row points at one of the storage keys, or is the job that one is of."""
    found = [select(table.storage_key).where(table.storage_key.in_(keys)) for table in _TABLES]
    found.append(select(Job.id).where(Job.id.in_({_owner(key) for key in keys})))
    return any(session.scalar(query.limit(1)) is not None for query in found)


def _owner(key: str) -> str:
    """The job that the file is of; of a data set's, what is no job."""
    return key.split("/")[1]
