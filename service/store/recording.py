"""What a worker writes about the job it trains. Each function fails with `LeaseLost` where the job is not its any more,
and then nothing of it was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from fitqueue.states import EventKind, Phase
from service import clock
from service.models import Artifact, Checkpoint, Epoch, EpochMetric, Job, LogLine
from service.store import counters, events
from service.store.counters import Duration
from service.store.leases import Lease, LeaseLost, check_held

MAX_LINE_CHARACTERS: Final = 8_192
MAX_LINES: Final = 20_000
"""Of one job: beyond that the oldest go, since why a job died stands at the end."""


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave; `epoch` counts from 1, `logs` are Keras's, NaN included."""

    epoch: int
    logs: Mapping[str, float]
    learning_rate: float
    next_learning_rate: float
    seconds: float
    steps: int


@dataclass(frozen=True)
class CheckpointRecord:
    """A stored file of weights and all names it goes by."""

    names: Sequence[str]
    storage_key: str
    format: Literal["weights.h5", "keras"]
    epoch: int
    batch: int | None
    logs: Mapping[str, float]
    monitor: str | None
    value: float | None
    size: int
    sha256: str


@dataclass(frozen=True)
class ArtifactRecord:
    """A stored file that a callback of the job wrote."""

    name: str
    storage_key: str
    size: int
    sha256: str


@dataclass(frozen=True)
class LineRecord:
    at: datetime
    stream: Literal["stdout", "stderr"]
    text: str


def begin(session: Session, lease: Lease, epoch: int, step: int) -> None:
    """Training begins after `epoch` whole epochs and `step` steps: what earlier attempts recorded beyond goes."""
    best = {"best_epoch": None, "best_monitor": None, "best_value": None} if epoch == step == 0 else {}
    job = _change(session, lease, epoch=epoch + (step > 0), step=step, **best)
    for table in (EpochMetric, Epoch):
        session.execute(delete(table).where(table.job_id == job.id, table.epoch > epoch))


def record_resumed(session: Session, lease: Lease, epoch: int, step: int, differences: Sequence[str]) -> None:
    """`differences`: why the numbers may differ in their last bits from those of a training without a break."""
    job = _change(session, lease)
    where = f"after {step} steps of epoch {epoch + 1}" if step else f"after epoch {epoch}"
    inexact = f" It may differ in the last bits: {'; '.join(differences)}." if differences else ""
    data = {"epoch": epoch, "step": step, "exact": not differences}
    events.append(session, job, EventKind.RESUMED, clock.now(session), f"Training goes on {where}.{inexact}", data)


def record_phase(session: Session, lease: Lease, phase: Phase) -> None:
    now = clock.now(session)
    job = _change(session, lease, phase=phase)
    events.append(session, job, EventKind.PHASE_CHANGED, now, phase.about, {"phase": phase.value})
    if phase is Phase.TRAINING and job.claimed_at is not None:
        counters.observe(session, Duration.START_UP, job.pool, (now - job.claimed_at).total_seconds())


def record_progress(session: Session, lease: Lease, epoch: int, step: int, steps: int) -> None:
    """`epoch` counts from 1; `step` of `steps` are done in it."""
    _change(session, lease, epoch=epoch, step=step, steps=steps)


def record_epoch(session: Session, lease: Lease, record: EpochRecord) -> None:
    """One row, its metrics and its events. The same epoch again replaces what was there."""
    now = clock.now(session)
    job = _change(session, lease, epoch=record.epoch, step=record.steps, steps=record.steps)
    for table in (EpochMetric, Epoch):
        session.execute(delete(table).where(table.job_id == job.id, table.epoch == record.epoch))
    session.add(
        Epoch(
            job_id=job.id,
            epoch=record.epoch,
            learning_rate=record.learning_rate,
            seconds=record.seconds,
            steps=record.steps,
            attempt=lease.attempt,
            finished_at=now,
        )
    )
    session.add_all(
        EpochMetric(job_id=job.id, epoch=record.epoch, name=name, ordinal=ordinal, value=value)
        for ordinal, (name, value) in enumerate(record.logs.items())
    )
    message = f"Epoch {record.epoch} of {job.epochs} was trained in {record.seconds:.3g} s."
    events.append(session, job, EventKind.EPOCH_ENDED, now, message, {"epoch": record.epoch, **record.logs})
    if record.next_learning_rate < record.learning_rate:
        _record_reduction(session, job, record, now)
    counters.observe(session, Duration.EPOCH, job.pool, record.seconds)


def record_checkpoint(session: Session, lease: Lease, record: CheckpointRecord) -> list[str]:
    """Points the names at the stored file.

    Returns the storage keys that no name points at any more: the caller deletes those files after the commit.
    """
    now = clock.now(session)
    best = {"best_epoch": record.epoch, "best_monitor": record.monitor, "best_value": record.value}
    job = _change(session, lease, **(best if "best" in record.names else {}))
    ours = select(Checkpoint.storage_key).where(Checkpoint.job_id == job.id)
    replaced = set(session.scalars(ours.where(Checkpoint.name.in_(record.names))))
    session.execute(delete(Checkpoint).where(Checkpoint.job_id == job.id, Checkpoint.name.in_(record.names)))
    session.add_all(_row(job.id, lease.attempt, name, record, now) for name in dict.fromkeys(record.names))
    session.flush()
    for name in record.names:
        _announce(session, job, name, record, now)
    return sorted(replaced - set(session.scalars(ours)))


def record_artifact(session: Session, lease: Lease, record: ArtifactRecord) -> list[str]:
    """Points the name at the stored file; the storage key that it pointed at before, whose file is to be deleted."""
    job = _change(session, lease)
    earlier = session.get(Artifact, (job.id, record.name))
    replaced = [earlier.storage_key] if earlier is not None else []
    session.merge(
        Artifact(
            job_id=job.id,
            name=record.name,
            storage_key=record.storage_key,
            size=record.size,
            sha256=record.sha256,
            attempt=lease.attempt,
            created_at=clock.now(session),
        )
    )
    session.flush()
    return replaced


def record_log_lines(session: Session, lease: Lease, lines: Sequence[LineRecord]) -> None:
    """Appends lines in their order, each cut to 8,192 characters and without NUL, which PostgreSQL refuses.

    The last 20,000 lines of a job are kept.
    """
    check_held(session, lease)
    session.add_all(
        LogLine(job_id=lease.job_id, at=line.at, attempt=lease.attempt, stream=line.stream, text=_storable(line.text))
        for line in lines
    )
    session.flush()
    ids = select(LogLine.id).where(LogLine.job_id == lease.job_id).order_by(LogLine.id.desc())
    last_to_go = ids.offset(MAX_LINES).limit(1).scalar_subquery()
    session.execute(delete(LogLine).where(LogLine.job_id == lease.job_id, LogLine.id <= last_to_go))


def _change(session: Session, lease: Lease, **values: object) -> Job:
    check_held(session, lease)
    statement = (
        update(Job)
        .where(Job.id == lease.job_id)
        .values(version=Job.version + 1, **values)
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return session.scalars(statement).one()


def _record_reduction(session: Session, job: Job, record: EpochRecord, now: datetime) -> None:
    message = f"The learning rate went from {record.learning_rate:.6g} to {record.next_learning_rate:.6g}."
    data = {"epoch": record.epoch, "from": record.learning_rate, "to": record.next_learning_rate}
    events.append(session, job, EventKind.LEARNING_RATE_REDUCED, now, message, data)


def _announce(session: Session, job: Job, name: str, record: CheckpointRecord, now: datetime) -> None:
    if name == "last":
        return
    value = "" if record.monitor is None or record.value is None else f" ({record.monitor} {record.value:.6g})"
    data = {"name": name, "epoch": record.epoch, "monitor": record.monitor, "value": record.value}
    if name == "best":
        message = f"Epoch {record.epoch} is the best so far{value}."
        events.append(session, job, EventKind.BEST_IMPROVED, now, message, data)
    else:
        events.append(session, job, EventKind.CHECKPOINT_SAVED, now, f"'{name}' was saved{value}.", data)


def _row(job_id: str, attempt: int, name: str, record: CheckpointRecord, now: datetime) -> Checkpoint:
    return Checkpoint(
        job_id=job_id,
        name=name,
        storage_key=record.storage_key,
        format=record.format,
        epoch=record.epoch,
        batch=record.batch,
        metrics=events.finite(record.logs),
        monitor=record.monitor,
        value=record.value,
        size=record.size,
        sha256=record.sha256,
        attempt=attempt,
        created_at=now,
    )


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:MAX_LINE_CHARACTERS]


__all__ = [
    "ArtifactRecord",
    "CheckpointRecord",
    "EpochRecord",
    "LeaseLost",
    "LineRecord",
    "begin",
    "record_artifact",
    "record_checkpoint",
    "record_epoch",
    "record_log_lines",
    "record_phase",
    "record_progress",
    "record_resumed",
]
