"""Every second three jobs are preemptible, and whether one made room for another and went on."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from fitqueue.states import EventKind
from service.models import Event, Job

MIN_JOBS: Final = 10

_IS_PREEMPTION: Final = Event.kind == EventKind.REQUEUED, Event.data["preempted"].as_boolean()


def fields_of(number: str) -> dict[str, Any]:
    """Return the field that makes the job with this number preemptible.

    The first jobs are, while all workers are idle. As long as others wait, no worker starts a preemptible one.
    """
    return {"preemptible": number.isdecimal() and int(number) // 3 % 2 == 0}


def count_preemptions(session: Session) -> int:
    return session.scalar(select(func.count()).where(*_IS_PREEMPTION)) or 0


def count_resumed(session: Session) -> int:
    """Return after how many preemptions the job resumed from a snapshot."""
    later = aliased(Event)
    is_resumed = exists().where(
        later.job_id == Event.job_id, later.kind == EventKind.RESUMED, later.attempt > Event.attempt
    )
    return session.scalar(select(func.count()).where(*_IS_PREEMPTION, is_resumed)) or 0


def problems_of_preemption(session: Session) -> Iterator[str]:
    """Yield that no preempted job resumed. Those that did have to end as undisturbed ones, like all others.

    Many jobs end before they learn that they must leave, so a run with few preemptible ones is excused.
    """
    jobs = session.scalar(select(func.count()).where(Job.preemptible)) or 0
    if jobs >= MIN_JOBS and count_resumed(session) == 0:
        yield f"of {jobs} preemptible jobs, none resumed after one of {count_preemptions(session)} preemptions"
