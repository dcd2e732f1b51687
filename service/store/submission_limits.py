"""Limits at the POST: what is queued and stored, checked in the transaction that adds to it.

A job that runs is never ended because of them, nor is one refused that returns to the queue by itself.
"""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from fitqueue.errors import Fault, LimitExceeded
from service.models import Job
from service.store import holders, holdings
from service.store.account_faults import limit_fault
from service.store.holders import Holder


def check_new_job(session: Session, job: Job) -> None:
    """Check that the owner and the project of a job have room for it, which is queued now.

    Raises:
        LimitExceeded: they have too many queued jobs, or as many bytes stored as they may. Nothing may be committed.
    """
    limited = _locked(session, job.owner_id, job.project_id)
    _raise_if_any([*_all_queued_faults(session, limited), *_all_stored_faults(session, limited)])


def check_room_for_job(session: Session, owner_id: str, project_id: str) -> None:
    """Check what `check_new_job` checks, before there is a job and without a lock.

    Raises:
        LimitExceeded: the owner or the project has no room for one more.
    """
    limited = holders.limited(session, owner_id, project_id)
    _raise_if_any([*_all_queued_faults(session, limited, new=1), *_all_stored_faults(session, limited)])


def check_resumed_job(session: Session, job: Job) -> None:
    """Check that the owner and the project of a job, which is queued now, have not too many of them.

    Raises:
        LimitExceeded: they have. Nothing may be committed.
    """
    _raise_if_any(_all_queued_faults(session, _locked(session, job.owner_id, job.project_id)))


def check_new_dataset(session: Session, owner_id: str, project_id: str, size: int) -> None:
    """Check that the owner and the project of a data set, which is not stored yet, have room for its bytes.

    Raises:
        LimitExceeded: they would have too many bytes. Nothing may be committed.
    """
    _raise_if_any(_all_stored_faults(session, _locked(session, owner_id, project_id), size))


def _locked(session: Session, owner_id: str, project_id: str) -> list[Holder]:
    return holders.lock(session, holders.limited(session, owner_id, project_id))


def _all_queued_faults(session: Session, limited: list[Holder], new: int = 0) -> list[Fault]:
    return [fault for holder in limited for fault in _queued_faults(session, holder, new)]


def _all_stored_faults(session: Session, limited: list[Holder], size: int | None = None) -> list[Fault]:
    return [fault for holder in limited for fault in _stored_faults(session, holder, size)]


def _raise_if_any(faults: list[Fault]) -> None:
    if faults:
        raise LimitExceeded(" ".join(fault.message for fault in faults), errors=faults)


def _queued_faults(session: Session, holder: Holder, new: int) -> Iterator[Fault]:
    """Yield what is wrong with one job more, which is counted already unless it is `new`."""
    limit = holder.limits.queued_jobs
    if limit is None:
        return
    count = holdings.queued(session, [holder.id], projects=holder.is_project).get(holder.id, 0)
    if count + new > limit:
        message = f"{holder.subject} may have at most {limit:,} queued jobs, and has {count + new - 1:,}."
        yield limit_fault("", message, None, f"at most {limit:,} queued jobs")


def _stored_faults(session: Session, holder: Holder, size: int | None) -> Iterator[Fault]:
    limit = holder.limits.stored_bytes
    if limit is None:
        return
    stored = holdings.stored_bytes(session, [holder.id], projects=holder.is_project).get(holder.id, 0)
    if stored + (size or 1) > limit:
        more = "" if size is None else f"; this would be {size:,} more"
        message = f"{holder.subject} may have at most {limit:,} bytes stored, and has {stored:,}{more}."
        yield limit_fault("", message, None, f"at most {limit:,} bytes stored")
