"""What a training leaves in the database, except for times. If two outcomes are equal, their weights are, too."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.models import Artifact, Checkpoint, Epoch, EpochMetric, Job

Rows = tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Outcome:
    """The results of one job."""

    state: str
    reason: str | None
    last_epoch: int
    best: tuple[Any, ...]
    """Epoch, monitor, value."""
    epochs: Rows
    """Number, learning rate, steps."""
    metrics: Rows
    """Epoch, name, value."""
    checkpoints: Rows
    """Name, epoch, batch, value, sha256; `best` and `last` are among them."""
    artifacts: Rows
    """Name, sha256."""

    def differences(self, expected: "Outcome") -> list[str]:
        """Describe how this outcome differs from the expected one."""
        names = (field.name for field in fields(self))
        return [line for name in names for line in _differences(name, getattr(self, name), getattr(expected, name))]


def read_outcome(session: Session, job_id: str) -> Outcome:
    job = session.get_one(Job, job_id)
    return Outcome(
        state=str(job.state),
        reason=str(job.reason) if job.reason else None,
        last_epoch=job.epoch,
        best=(job.best_epoch, job.best_monitor, job.best_value),
        epochs=_rows(session, Epoch, job_id, "epoch", "learning_rate", "steps"),
        metrics=_rows(session, EpochMetric, job_id, "epoch", "name", "value"),
        checkpoints=_rows(session, Checkpoint, job_id, "name", "epoch", "batch", "value", "sha256"),
        artifacts=_rows(session, Artifact, job_id, "name", "sha256"),
    )


def _rows(session: Session, table: Any, job_id: str, *names: str) -> Rows:
    columns = [getattr(table, name) for name in names]
    query = select(*columns).where(table.job_id == job_id).order_by(*columns[:2])
    return tuple(tuple(row) for row in session.execute(query))


def _differences(name: str, actual: Any, expected: Any) -> Iterable[str]:
    if actual == expected:
        return
    if not (isinstance(actual, tuple) and actual and isinstance(actual[0], tuple)):
        yield f"{name}: {actual} instead of {expected}"
        return
    for row in sorted({*actual} ^ {*expected}, key=str):
        yield f"{name}: {row} {'is unexpected' if row in actual else 'is missing'}"
