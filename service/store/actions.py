"""What users ask of a job: that it is cancelled, paused, resumed, extended.

A job that no worker has is moved at once. Of one that runs the wish is written down, and its worker reads it when it
renews its lease.
"""

from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from fitqueue.datasets import BUILTIN
from fitqueue.errors import JobEnded, JobNotEnded, JobNotExtendable
from fitqueue.spec import MAX_EPOCHS
from fitqueue.states import EXTENDABLE, EventKind, JobState
from service import clock
from service.models import Dataset, Epoch, Job, Snapshot, Token
from service.store import events, jobs, transitions
from service.store.transitions import By


def cancel(session: Session, job_id: str, token_id: str | None = None) -> Job:
    """Cancels a job that waits, and asks a running one to stop. A second time changes nothing.

    Raises:
        JobNotFound, JobEnded.
    """
    job = jobs.locked(session, job_id)
    now = clock.now(session)
    if job.state is JobState.CANCELLED or (job.state is JobState.RUNNING and job.cancel_requested_at is not None):
        return job
    _check_not_ended(job)
    by = _by(session, token_id)
    if job.state is JobState.RUNNING:
        return _wish(session, job, now, by, EventKind.CANCEL_REQUESTED, "stop", cancel_requested_at=now)
    move = transitions.cancel_queued if job.state is JobState.QUEUED else transitions.cancel_paused
    return move(session, job_id, by, now) or job


def pause(session: Session, job_id: str, token_id: str | None = None) -> Job:
    """Has a job wait that waits for a worker, and asks a running one to. A second time changes nothing.

    Raises:
        JobNotFound, JobEnded.
    """
    job = jobs.locked(session, job_id)
    now = clock.now(session)
    if job.state is JobState.PAUSED or job.pause_requested_at is not None:
        return job
    _check_not_ended(job)
    by = _by(session, token_id)
    if job.state is JobState.RUNNING:
        return _wish(session, job, now, by, EventKind.PAUSE_REQUESTED, "wait", pause_requested_at=now)
    return transitions.pause_queued(session, job_id, by, now) or job


def resume(session: Session, job_id: str, token_id: str | None = None) -> Job:
    """Lets a paused job go on; takes back the wish where it has not been paused yet. Else nothing changes.

    Raises:
        JobNotFound, JobEnded.
    """
    job = jobs.locked(session, job_id)
    now = clock.now(session)
    _check_not_ended(job)
    by = _by(session, token_id)
    if job.state is JobState.PAUSED:
        return transitions.unpause(session, job_id, by, now) or job
    if job.pause_requested_at is not None:
        return _wish(session, job, now, by, EventKind.UNPAUSED, "go on", pause_requested_at=None)
    return job


def extend(session: Session, job_id: str, epochs: int, token_id: str | None = None) -> Job:
    """Gives an ended job so many epochs more, to go on from where it stopped, with its time and attempts anew.

    The same again, while the job has not ended, changes nothing.

    Raises:
        JobNotFound; JobNotEnded; JobNotExtendable: why it cannot go on.
    """
    _hold_dataset(session, job_id)
    job = jobs.locked(session, job_id)
    if not job.state.is_final:
        if job.extended_by_epochs == epochs:
            return job
        raise JobNotEnded(f"The job {job_id} is {job.state}; it can be extended when it has ended.")
    _check_extendable(session, job, epochs)
    changes = {
        "spec": {**job.spec, "fit": {**job.spec["fit"], "epochs": job.epochs + epochs}},
        "epochs": job.epochs + epochs,
        "extended_at_epoch": session.scalar(select(func.max(Epoch.epoch)).where(Epoch.job_id == job_id)) or 0,
        "extended_by_epochs": epochs,
        "failed_attempts": 0,
        "stalled_attempts": 0,
        "seconds_used": 0.0,
    }
    data = {**_by(session, token_id), "epochs": epochs}
    return transitions.extend(session, job_id, data, clock.now(session), **changes) or job


def _hold_dataset(session: Session, job_id: str) -> None:
    """Keep the job's data set from being deleted. First of all: who deletes it locks it before the rows of its jobs."""
    query = select(Dataset.id).join(Job, Job.dataset_id == Dataset.id).where(Job.id == job_id)
    session.execute(query.with_for_update(read=True, of=Dataset))


def _check_extendable(session: Session, job: Job, epochs: int) -> None:
    """Raises JobNotExtendable."""
    if job.reason not in EXTENDABLE:
        raise JobNotExtendable(f"The job {job.id} ended with {job.reason}: more epochs would end likewise.")
    if session.scalar(select(Snapshot.job_id).where(Snapshot.job_id == job.id).limit(1)) is None:
        raise JobNotExtendable(f"The job {job.id} ended before there was anything to go on from; submit it anew.")
    dataset = job.spec["data"]["dataset"]
    if job.dataset_id is None and dataset not in BUILTIN:
        raise JobNotExtendable(f"The data set '{dataset}' of the job {job.id} was deleted.")
    if job.epochs + epochs > MAX_EPOCHS:
        raise JobNotExtendable(f"A job has {MAX_EPOCHS:,} epochs at most; {job.id} has {job.epochs:,} already.")


def _check_not_ended(job: Job) -> None:
    if job.state.is_final:
        raise JobEnded(f"The job {job.id} has {job.state} already ({job.reason}).")


def _by(session: Session, token_id: str | None) -> By:
    """Who asks, as an event tells it: the name of the token, which may be gone when the event is read."""
    return {"by": session.scalar(select(Token.name).where(Token.id == token_id))}


def _wish(
    session: Session,
    job: Job,
    now: datetime,
    by: By,
    kind: EventKind,
    what: str,
    **columns: datetime | None,
) -> Job:
    """Write down what somebody wants of the worker, who will read it when it renews its lease."""
    session.execute(
        update(Job)
        .where(Job.id == job.id)
        .values(version=Job.version + 1, **columns)
        .execution_options(synchronize_session=False)
    )
    events.append(session, job, kind, now, f"{by['by'] or 'Somebody'} asked the job to {what}.", by)
    session.refresh(job)
    return job
