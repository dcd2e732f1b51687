"""What a job's epochs logged."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Integer, String, and_, bindparam, func, select
from sqlalchemy.orm import Session, aliased

from fitqueue.diagnosis import HISTORY, Losses
from service.models import Epoch, EpochMetric

# Every GET of a job, or of its news, needs these statements, and it takes longer to build than to run them.
_JOB: Final = bindparam("job_id", type_=String)
_TRAINING: Final = aliased(EpochMetric)
_VALIDATION: Final = aliased(EpochMetric)
_LAST: Final = (
    select(_TRAINING.epoch, _TRAINING.value)
    .where(_TRAINING.job_id == _JOB, _TRAINING.name == "loss")
    .order_by(_TRAINING.epoch.desc())
    .limit(HISTORY)
)
# Not an outer join: SQLite stores NaN as NULL, so a NULL would mean two things.
_LAST_VALIDATED: Final = _LAST.join(
    _VALIDATION,
    and_(
        _VALIDATION.job_id == _TRAINING.job_id,
        _VALIDATION.epoch == _TRAINING.epoch,
        _VALIDATION.name == "val_loss",
    ),
).add_columns(_VALIDATION.value)
_RATES: Final = select(
    select(Epoch.learning_rate).where(Epoch.job_id == _JOB).order_by(Epoch.epoch.desc()).limit(1).scalar_subquery(),
    select(func.max(Epoch.learning_rate)).where(Epoch.job_id == _JOB).scalar_subquery(),
)
_AFTER: Final = (
    select(Epoch.epoch, Epoch.learning_rate, Epoch.seconds, Epoch.steps, Epoch.attempt, Epoch.finished_at)
    .where(Epoch.job_id == _JOB, Epoch.epoch > bindparam("after", type_=Integer))
    .order_by(Epoch.epoch)
    .limit(bindparam("limit", type_=Integer))
)
_METRICS: Final = (
    select(EpochMetric.epoch, EpochMetric.name, EpochMetric.value)
    .where(
        EpochMetric.job_id == _JOB,
        EpochMetric.epoch.between(bindparam("first", type_=Integer), bindparam("last", type_=Integer)),
    )
    .order_by(EpochMetric.epoch, EpochMetric.ordinal)
)


class EpochRow(NamedTuple):
    """One epoch. `metrics` are in the order in which Keras logged them, NaN and infinity included."""

    epoch: int
    metrics: Mapping[str, float]
    learning_rate: float | None
    seconds: float
    steps_per_second: float
    attempt: int
    finished_at: datetime


def list_after(session: Session, job_id: str, after: int, limit: int) -> list[EpochRow]:
    """Return the epochs with a number above `after`, in order."""
    epochs = session.execute(_AFTER, {"job_id": job_id, "after": after, "limit": limit}).all()
    metrics = _metrics_by_epoch(session, job_id, epochs[0].epoch, epochs[-1].epoch) if epochs else {}
    return [
        EpochRow(
            epoch=row.epoch,
            metrics=metrics.get(row.epoch, {}),
            learning_rate=row.learning_rate,
            seconds=row.seconds,
            steps_per_second=row.steps / row.seconds if row.seconds > 0 else 0.0,
            attempt=row.attempt,
            finished_at=row.finished_at,
        )
        for row in epochs
    ]


def names(session: Session, job_id: str) -> Sequence[str]:
    """Return the names of all metrics that the job ever logged, in the order in which Keras logs them."""
    return session.scalars(
        select(EpochMetric.name)
        .where(EpochMetric.job_id == job_id)
        .group_by(EpochMetric.name)
        .order_by(func.min(EpochMetric.ordinal), EpochMetric.name)
    ).all()


def losses(session: Session, job_id: str) -> list[Losses]:
    """Return the last epochs for a diagnosis: those with a validation, or all if none had one."""
    job = {"job_id": job_id}
    history = [Losses(*row) for row in session.execute(_LAST_VALIDATED, job)]
    return (history or [Losses(*row, None) for row in session.execute(_LAST, job)])[::-1]


def rate_share(session: Session, job_id: str) -> float:
    """Return the learning rate of the last epoch as a share of the highest one so far; 1 if no rate was logged.

    The highest one, because a schedule with a warmup starts near zero.
    """
    last, highest = session.execute(_RATES, {"job_id": job_id}).one()
    return last / highest if last is not None and highest else 1.0


def _metrics_by_epoch(session: Session, job_id: str, first: int, last: int) -> dict[int, dict[str, float]]:
    """Return the metrics of the epochs from `first` to `last`. A long job has many, so no objects are made of rows."""
    metrics: dict[int, dict[str, float]] = defaultdict(dict)
    for epoch, name, value in session.execute(_METRICS, {"job_id": job_id, "first": first, "last": last}):
        metrics[epoch][name] = value
    return metrics
