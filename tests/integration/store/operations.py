"""What workers do to a job, each in a transaction of its own, and how a test reads what came of it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from fitqueue.states import EventKind, Phase, Reason
from service.db import Database
from service.models import Event, Job
from service.store import attempt_outcomes, jobs, leases, recording, snapshots
from service.store.leases import Lease
from service.store.retry_policy import AttemptFailure
from tests.reports import epoch_ended, snapshot_written

FOUR_GPUS = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")
MORE_EPOCHS = 3
"""How many epochs the tests add when they extend a job."""
REASONS_FOR_STATE = {"succeeded": Reason.COMPLETED, "failed": Reason.MAX_RUNTIME, "cancelled": Reason.CANCELLED_BY_USER}
"""Reasons to end a job in each final state, such that it can be extended."""
KILLED = AttemptFailure("The training process was killed (SIGKILL)")


def get_job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get_whole(session, job_id)


def columns_of(job: Job) -> dict[str, Any]:
    """Return the values of a job's row, except for its large ones, which an action does not load."""
    names = {column.name for column in Job.__table__.columns} - {"spec", "notices", "model_summary"}
    return {name: getattr(job, name) for name in names}


def events_of(database: Database, job_id: str) -> Sequence[Event]:
    """Return all events of the job, oldest first."""
    with database.read() as session:
        return session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.id)).all()


def event_kinds(database: Database, job_id: str) -> list[EventKind]:
    return [event.kind for event in events_of(database, job_id)]


def event_data(database: Database, job_id: str) -> list[tuple[EventKind, dict[str, Any]]]:
    return [(event.kind, event.data) for event in events_of(database, job_id)]


def record_epoch(database: Database, lease: Lease, epoch: int = 1) -> None:
    with database.write() as session:
        recording.record_epoch(session, leases.held_job(session, lease), epoch_ended(epoch))


def record_snapshot(database: Database, lease: Lease, epoch: int, step: int = 0) -> list[str]:
    """Record a snapshot, and return the storage keys of the snapshots that it replaced."""
    with database.write() as session:
        job = leases.held_job(session, lease)
        return snapshots.record(session, job, snapshot_written(epoch, step), snapshot_key_of(lease, epoch, step))


def train_epoch(database: Database, lease: Lease, epoch: int = 1) -> None:
    """Record an epoch, and a snapshot after it."""
    with database.write() as session:
        job = leases.held_job(session, lease)
        recording.record_phase(session, job, Phase.TRAINING)
        recording.record_epoch(session, job, epoch_ended(epoch))
        snapshots.record(session, job, snapshot_written(epoch), snapshot_key_of(lease, epoch))


def snapshot_key_of(lease: Lease, epoch: int, step: int = 0) -> str:
    return f"snapshots/{lease.job_id}/{lease.attempt}-{epoch}-{step}"


def finish(database: Database, lease: Lease, reason: Reason = Reason.COMPLETED) -> bool:
    with database.write() as session:
        return attempt_outcomes.finish(session, lease, reason, "The training ended.")


def requeue(database: Database, lease: Lease) -> Job:
    """Requeue the job as at a shutdown of its worker, and return it."""
    with database.write() as session:
        assert attempt_outcomes.requeue(session, lease, "The worker was shut down.")
    return get_job(database, lease.job_id)


def fail_attempt(database: Database, lease: Lease, failure: AttemptFailure = KILLED) -> Job:
    """Fail the attempt, and return the job."""
    with database.write() as session:
        assert attempt_outcomes.fail_attempt(session, lease, failure)
    return get_job(database, lease.job_id)


def expire_leases(database: Database) -> list[str]:
    """Fail the attempts of silent workers, and return the pools in which a job is queued again."""
    with database.write() as session:
        return attempt_outcomes.expire_leases(session)
