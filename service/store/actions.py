"""What users ask of a job: to cancel, pause, resume or extend it.

A job that no worker has changes at once. For a running job the request is stored, and its worker reads it when it
renews its lease. `by` is the name of the user who asks: events keep it.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from fitqueue.datasets import BUILTIN
from fitqueue.errors import JobEnded, JobNotEnded, JobNotExtendable
from fitqueue.retention import Removable
from fitqueue.spec import MAX_EPOCHS
from fitqueue.states import EXTENDABLE, EventKind, JobState
from service import clock
from service.forecast.similar import may_end_early
from service.models import Dataset, Epoch, Job, Snapshot
from service.store import events, jobs, retention, submission_limits, transitions
from service.store.transitions import Requester

_HAS_ENDED: Final = {
    JobState.SUCCEEDED: "has already succeeded",
    JobState.FAILED: "has already failed",
    JobState.CANCELLED: "was already cancelled",
}


def cancel(session: Session, job_id: str, by: str | None = None) -> Job:
    """Cancel a queued or paused job, or ask a running one to stop. Doing it twice changes nothing.

    Raises:
        JobNotFound: there is no such job.
        JobEnded: it ended in another way.
    """
    job = jobs.locked(session, job_id)
    now = clock.now(session)
    if job.state is JobState.CANCELLED or (job.state is JobState.RUNNING and job.cancel_requested_at is not None):
        return job
    _require_not_ended(job)
    requester = {"by": by}
    if job.state is JobState.RUNNING:
        return _request(session, job, now, requester, EventKind.CANCEL_REQUESTED, "stop", cancel_requested_at=now)
    transition = transitions.cancel_queued if job.state is JobState.QUEUED else transitions.cancel_paused
    return transition(session, job_id, requester, now) or job


def pause(session: Session, job_id: str, by: str | None = None) -> Job:
    """Pause a queued job, or ask a running one to pause. Doing it twice changes nothing.

    Raises:
        JobNotFound: there is no such job.
        JobEnded: it has ended.
    """
    job = jobs.locked(session, job_id)
    now = clock.now(session)
    if job.state is JobState.PAUSED or job.pause_requested_at is not None:
        return job
    _require_not_ended(job)
    requester = {"by": by}
    if job.state is JobState.RUNNING:
        return _request(session, job, now, requester, EventKind.PAUSE_REQUESTED, "pause", pause_requested_at=now)
    return transitions.pause_queued(session, job_id, requester, now) or job


def resume(session: Session, job_id: str, by: str | None = None) -> Job:
    """Queue a paused job again, or withdraw a request to pause. Otherwise nothing changes.

    Raises:
        JobNotFound: there is no such job.
        JobEnded: it has ended.
        LimitExceeded: its owner or its project has too many queued jobs. Nothing may be committed.
    """
    job = jobs.locked(session, job_id)
    now = clock.now(session)
    _require_not_ended(job)
    requester = {"by": by}
    if job.state is JobState.PAUSED:
        job = transitions.unpause(session, job_id, requester, now) or job
        submission_limits.check_resumed_job(session, job)
        return job
    if job.pause_requested_at is not None:
        return _request(session, job, now, requester, EventKind.UNPAUSED, "continue", pause_requested_at=None)
    return job


def extend(session: Session, job_id: str, epochs: int, by: str | None = None, *, max_epochs: int = MAX_EPOCHS) -> Job:
    """Give an ended job so many epochs beyond those that it has trained, with its runtime and attempts reset.

    It resumes where it stopped. An epoch that the stop interrupted has not been trained, so it is one of them. The same
    extension again, while the job has not ended, changes nothing.

    Args:
        max_epochs: how many epochs a job may have in all.

    Raises:
        JobNotFound: there is no such job.
        JobNotEnded: it has not ended.
        JobNotExtendable: it cannot resume; the message says why.
        LimitExceeded: its owner or its project has no room for it. Nothing may be committed.
    """
    _lock_dataset(session, job_id)
    job = jobs.locked(session, job_id)
    if not job.state.is_final:
        if job.extended_by_epochs == epochs:
            return job
        raise JobNotEnded(f"The job {job_id} is {job.state}; it can be extended when it has ended.")
    trained = session.scalar(select(func.max(Epoch.epoch)).where(Epoch.job_id == job_id)) or 0
    _check_extendable(session, job, trained + epochs, max_epochs)
    spec = {**job.spec, "fit": {**job.spec["fit"], "epochs": trained + epochs}}
    changes = {
        "spec": spec,
        "epochs": trained + epochs,
        "may_end_early": may_end_early(spec),
        "extended_at_epoch": trained,
        "extended_by_epochs": epochs,
        "failed_attempts": 0,
        "stalled_attempts": 0,
        "outages": 0,
        "seconds_used": 0.0,
    }
    data = {"by": by, "epochs": epochs}
    job = transitions.extend(session, job_id, data, clock.now(session), **changes) or job
    submission_limits.check_new_job(session, job)
    return job


def _lock_dataset(session: Session, job_id: str) -> None:
    """Keep the job's data set from being deleted. This comes first, because a deletion locks it before its jobs."""
    query = select(Dataset.id).join(Job, Job.dataset_id == Dataset.id).where(Job.id == job_id)
    session.execute(query.with_for_update(read=True, of=Dataset))


def _check_extendable(session: Session, job: Job, epochs: int, max_epochs: int) -> None:
    """Check that more epochs make sense, `epochs` of them in all.

    Raises:
        JobNotExtendable: they do not.
    """
    if job.reason not in EXTENDABLE:
        raise JobNotExtendable(f"The job {job.id} ended with {job.reason}: more epochs would end the same way.")
    if session.scalar(select(Snapshot.job_id).where(Snapshot.job_id == job.id).limit(1)) is None:
        if (why := retention.why_removed(job, Removable.SNAPSHOTS)) is not None:
            raise JobNotExtendable(f"The job {job.id} has nothing left to resume from. {why}")
        raise JobNotExtendable(f"The job {job.id} ended before it had a snapshot to resume from; submit it again.")
    dataset = job.spec["data"]["dataset"]
    if job.dataset_id is None and dataset not in BUILTIN:
        raise JobNotExtendable(f"The data set '{dataset}' of the job {job.id} was deleted.")
    if epochs > max_epochs:
        raise JobNotExtendable(f"A job has at most {max_epochs:,} epochs; {job.id} would have {epochs:,}.")


def _require_not_ended(job: Job) -> None:
    if job.state.is_final:
        raise JobEnded(f"The job {job.id} {_HAS_ENDED[job.state]} ({job.reason}).")


def _request(
    session: Session,
    job: Job,
    now: datetime,
    by: Requester,
    kind: EventKind,
    verb: str,
    **columns: datetime | None,
) -> Job:
    """Store a request for the job's worker."""
    session.execute(
        update(Job)
        .where(Job.id == job.id)
        .values(version=Job.version + 1, **columns)
        .execution_options(synchronize_session=False)
    )
    events.append(session, job, kind, now, f"{by['by'] or 'Somebody'} asked the job to {verb}.", by)
    session.refresh(job)
    return job
