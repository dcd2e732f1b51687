"""What a training leaves in the database, but for its times: equal outcomes were trained to the same last bit."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.models import Artifact, Checkpoint, Epoch, EpochMetric, Job

Rows = tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Outcome:
    state: str
    reason: str | None
    stopped_at: int
    best: tuple[Any, ...]
    epochs: Rows
    """Number, learning rate, steps."""
    metrics: Rows
    """Epoch, name, value."""
    checkpoints: Rows
    """Name, epoch, batch, value, sha256: `best` and `last` among them."""
    artifacts: Rows
    """Name, sha256."""

    def differences(self, expected: "Outcome") -> list[str]:
        """Of this one from another, in words."""
        names = (field.name for field in fields(self))
        return [line for name in names for line in _differences(name, getattr(self, name), getattr(expected, name))]


def of(session: Session, job_id: str) -> Outcome:
    job = session.get_one(Job, job_id)
    return Outcome(
        state=str(job.state),
        reason=str(job.reason) if job.reason else None,
        stopped_at=job.epoch,
        best=(job.best_epoch, job.best_monitor, job.best_value),
        epochs=_rows(session, Epoch, job_id, "epoch", "learning_rate", "steps"),
        metrics=_rows(session, EpochMetric, job_id, "epoch", "name", "value"),
        checkpoints=_rows(session, Checkpoint, job_id, "name", "epoch", "batch", "value", "sha256"),
        artifacts=_rows(session, Artifact, job_id, "name", "sha256"),
    )


def _rows(session: Session, table: Any, job_id: str, *columns: str) -> Rows:
    chosen = [getattr(table, column) for column in columns]
    query = select(*chosen).where(table.job_id == job_id).order_by(*chosen[:2])
    return tuple(tuple(row) for row in session.execute(query))


def _differences(name: str, found: Any, expected: Any) -> Iterable[str]:
    if found == expected:
        return
    if not (isinstance(found, tuple) and found and isinstance(found[0], tuple)):
        yield f"{name}: {found}, not {expected}"
        return
    for row in sorted({*found} ^ {*expected}, key=str):
        yield f"{name}: {row} {'is too much' if row in found else 'is missing'}"
