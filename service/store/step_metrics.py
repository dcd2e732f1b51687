"""The metrics within epochs: those of the running one, and the series that a job with long epochs has."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.orm import Session

from fitqueue.non_finite import word_of
from fitqueue.reports import Position
from service import clock
from service.models import Job, StepMetrics

MAX_POINTS: Final = 2_000
"""Points of a job that are kept: more than a curve can show. A job of three hours has them all."""

MAX_METRICS: Final = 100
"""Metrics of a point, because progress is written twice a second. Epochs have all of theirs."""

_ALWAYS: Final = frozenset({"loss", "val_loss"})


class StepRow(NamedTuple):
    """A point: the metrics of an epoch after so many of its steps, NaN and infinity included."""

    ordinal: int
    epoch: int
    step: int
    metrics: Mapping[str, float]
    attempt: int
    at: datetime


def add(session: Session, job: Job, position: Position, metrics: Mapping[str, float]) -> None:
    """Add a point to the series of a job, or leave it out because the series is thinned.

    A job with more than `MAX_POINTS` points keeps every second one, evenly over its whole length, then every fourth,
    and so on. So the interval between them doubles.
    """
    job.step_points += 1
    stride = _stride(job.step_points)
    if job.step_points % stride:
        return
    session.execute(delete(StepMetrics).where(StepMetrics.job_id == job.id, StepMetrics.ordinal % stride != 0))
    session.add(
        StepMetrics(
            job_id=job.id,
            ordinal=job.step_points,
            epoch=position.epoch + 1,
            step=position.step,
            metrics=to_json(metrics),
            attempt=job.attempt,
            at=clock.now(session),
        )
    )
    session.flush()


def delete_beyond(session: Session, job: Job, position: Position) -> None:
    """Delete the points that an earlier attempt has recorded beyond a position."""
    is_beyond = or_(
        StepMetrics.epoch > position.epoch + 1,
        and_(StepMetrics.epoch == position.epoch + 1, StepMetrics.step > position.step),
    )
    session.execute(delete(StepMetrics).where(StepMetrics.job_id == job.id, is_beyond))
    last = select(func.max(StepMetrics.ordinal)).where(StepMetrics.job_id == job.id)
    job.step_points = session.scalar(last) or 0


def list_after(session: Session, job_id: str, epoch: int, ordinal: int, limit: int) -> list[StepRow]:
    """Return the points in epochs after `epoch` that follow the point `ordinal`, in order."""
    rows = session.execute(
        select(
            StepMetrics.ordinal,
            StepMetrics.epoch,
            StepMetrics.step,
            StepMetrics.metrics,
            StepMetrics.attempt,
            StepMetrics.at,
        )
        .where(StepMetrics.job_id == job_id, StepMetrics.epoch > epoch, StepMetrics.ordinal > ordinal)
        .order_by(StepMetrics.ordinal)
        .limit(limit)
    )
    return [StepRow(*row)._replace(metrics=from_json(row.metrics)) for row in rows]


def to_json(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return metrics as JSON: a value that is not finite is a word. There are at most 100, the losses among them."""
    names = {*list(metrics)[:MAX_METRICS], *_ALWAYS}
    return {name: word_of(value) or value for name, value in metrics.items() if name in names}


def from_json(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Return what `to_json` got."""
    return {name: float(value) for name, value in (metrics or {}).items()}


def _stride(points: int) -> int:
    """Return the smallest power of two `n` for which every `n`-th of these points makes at most `MAX_POINTS`."""
    stride = 1
    while points // stride > MAX_POINTS:
        stride *= 2
    return stride
