"""Which stored files the database refers to."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.states import JobState
from service.models import Artifact, Checkpoint, Dataset, Job, Snapshot

_TABLES: Final = (Artifact, Checkpoint, Dataset, Snapshot)


class ReferencedFile(NamedTuple):
    """A file that rows refer to, with its size and checksum."""

    key: str
    size: int
    sha256: str


def referenced(session: Session) -> list[ReferencedFile]:
    """Return all files that rows refer to, those first that are soon replaced by others."""
    found = {}
    for table in (Snapshot, Checkpoint, Artifact, Dataset):
        newest_first = select(table.storage_key, table.size, table.sha256).order_by(table.created_at.desc())
        found.update({row.storage_key: ReferencedFile(*row) for row in session.execute(newest_first)})
    return list(found.values())


def unreferenced(session: Session, keys: Sequence[str]) -> list[str]:
    """Return those of the storage keys that no row refers to, nor ever will.

    The files of a running job are left out: its worker stores a file before its row, and waits for the database in
    between, however long that is down.
    """
    queries = [select(table.storage_key).where(table.storage_key.in_(keys)) for table in _TABLES]
    referenced = {key for query in queries for key in session.scalars(query)}
    owners = {_owner(key) for key in keys}
    running = set(session.scalars(select(Job.id).where(Job.id.in_(owners), Job.state == JobState.RUNNING)))
    return [key for key in keys if key not in referenced and _owner(key) not in running]


def knows_any(session: Session, keys: Sequence[str]) -> bool:
    """Tell whether the database refers to one of the storage keys, or has the job that one of them belongs to."""
    queries = [select(table.storage_key).where(table.storage_key.in_(keys)) for table in _TABLES]
    queries.append(select(Job.id).where(Job.id.in_({_owner(key) for key in keys})))
    return any(session.scalar(query.limit(1)) is not None for query in queries)


def _owner(key: str) -> str:
    """Return the id of the job that a file belongs to; for a data set, something that is not a job's id."""
    return key.split("/")[1]
