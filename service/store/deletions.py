"""Deletes in small steps what belongs to the jobs that users have deleted.

A job of many epochs has millions of rows. To delete them in one transaction would keep all others from writing to
SQLite for a minute.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import CursorResult, Delete, delete, func, select
from sqlalchemy.orm import Session

from service.models import Artifact, Checkpoint, Epoch, EpochMetric, Event, Job, LogLine, Snapshot, StepMetrics
from service.store import owner_usage

ROWS: Final = 2000
"""Rows that one step deletes."""

EPOCHS: Final = 500
"""Epochs whose rows one step deletes. Each may have logged many metrics."""


def delete_some(session: Session) -> list[str] | None:
    """Delete some rows of the job that was deleted first, or in the end the job itself; None if there is none.

    Returns:
        The storage keys of files that no row refers to any more. The caller deletes them after the commit: a file that
        outlives its row costs space, a row that outlives its file costs a download.
    """
    job_id = session.scalar(
        select(Job.id)
        .where(Job.deleted_at.is_not(None))
        .order_by(Job.deleted_at, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # another worker is at it
    )
    if job_id is None:
        return None
    keys = _delete_files(session, job_id)
    if not keys and not any(delete_rows(session, job_id) for delete_rows in _STEPS):
        _delete_job(session, job_id)
    return keys


def _delete_job(session: Session, job_id: str) -> None:
    job = session.get_one(Job, job_id)
    session.execute(delete(Job).where(Job.id == job_id).execution_options(synchronize_session=False))
    # The row that all jobs of the owner share, so it comes last.
    owner_usage.add(session, job, {"deleted_jobs": 1})


def _delete_files(session: Session, job_id: str) -> list[str]:
    """Delete all rows of some files, and return their keys. Several checkpoints may be one file."""
    for table in (Checkpoint, Artifact, Snapshot):
        query = select(table.storage_key).where(table.job_id == job_id).distinct().limit(ROWS)
        keys = list(session.scalars(query))
        if keys:
            session.execute(delete(table).where(table.job_id == job_id, table.storage_key.in_(keys)))
            return keys
    return []


def _delete_by_id(table: type[Event | LogLine]) -> Callable[[Session, str], bool]:
    def delete_rows(session: Session, job_id: str) -> bool:
        ids = select(table.id).where(table.job_id == job_id).order_by(table.id).limit(ROWS)
        return _deletes_any(session, delete(table).where(table.id.in_(ids)))

    return delete_rows


def _delete_by_epoch(table: type[Epoch | EpochMetric]) -> Callable[[Session, str], bool]:
    def delete_rows(session: Session, job_id: str) -> bool:
        first = select(func.min(table.epoch)).where(table.job_id == job_id).scalar_subquery()
        return _deletes_any(session, delete(table).where(table.job_id == job_id, table.epoch < first + EPOCHS))

    return delete_rows


def _delete_step_metrics(session: Session, job_id: str) -> bool:
    """Delete all points within epochs: a job has no more than one step may delete."""
    return _deletes_any(session, delete(StepMetrics).where(StepMetrics.job_id == job_id))


def _deletes_any(session: Session, statement: Delete) -> bool:
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount > 0


_STEPS: Final = (
    _delete_by_id(Event),
    _delete_by_id(LogLine),
    _delete_step_metrics,
    _delete_by_epoch(EpochMetric),
    _delete_by_epoch(Epoch),
)
