"""What tells a client that follows a job how much of it is new."""

from typing import Final, NamedTuple

from sqlalchemy import BigInteger, String, bindparam, func, select
from sqlalchemy.orm import Session

from fitqueue.errors import JobNotFound
from service.models import Epoch, Event, Job, LogLine, StepMetrics


class Known(NamedTuple):
    """What a client has of a job: its last epoch and its last point within one, with the attempts that trained them."""

    epoch: int = 0
    epoch_attempt: int = 0
    point: int = 0
    point_attempt: int = 0


class Stamp(NamedTuple):
    """A job, and how far its rows go. An attempt that resumes at an earlier position replaces the later rows.

    - `valid_epoch` and `valid_point`: up to which epoch and point the client's rows are still those of the job.
    - `last_epoch`, `last_point`, `last_event` and `last_line`: 0 if there is none.
    """

    job: Job
    last_line: int
    last_event: int
    valid_epoch: int
    last_epoch: int
    valid_point: int
    last_point: int


# Each open page asks for it once a second, and it takes longer to build than to run.
_JOB: Final = bindparam("job_id", type_=String)
_STAMP: Final = select(
    Job,
    select(func.max(LogLine.id)).where(LogLine.job_id == _JOB).scalar_subquery(),
    select(func.max(Event.id)).where(Event.job_id == _JOB).scalar_subquery(),
    select(Epoch.epoch)
    .where(
        Epoch.job_id == _JOB,
        Epoch.epoch <= bindparam("epoch", type_=BigInteger),
        Epoch.attempt <= bindparam("epoch_attempt", type_=BigInteger),
    )
    .order_by(Epoch.epoch.desc())
    .limit(1)
    .scalar_subquery(),
    select(func.max(Epoch.epoch)).where(Epoch.job_id == _JOB).scalar_subquery(),
    select(StepMetrics.ordinal)
    .where(
        StepMetrics.job_id == _JOB,
        StepMetrics.ordinal <= bindparam("point", type_=BigInteger),
        StepMetrics.attempt <= bindparam("point_attempt", type_=BigInteger),
    )
    .order_by(StepMetrics.ordinal.desc())
    .limit(1)
    .scalar_subquery(),
    select(func.max(StepMetrics.ordinal)).where(StepMetrics.job_id == _JOB).scalar_subquery(),
).where(Job.id == _JOB, Job.deleted_at.is_(None))


def stamp(session: Session, job_id: str, known: Known) -> Stamp:
    """Return the stamp of a job, all of one moment.

    Raises:
        JobNotFound: there is no such job.
    """
    row = session.execute(_STAMP, {"job_id": job_id, **known._asdict()}).one_or_none()
    if row is None:
        raise JobNotFound(f"There is no job '{job_id}'.")
    job, *numbers = row
    return Stamp(job, *(number or 0 for number in numbers))
