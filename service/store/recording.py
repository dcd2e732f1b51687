"""What a worker records about the job that it trains.

Each function takes the job's row, which `leases.begin_write` or `leases.held_job` has locked: so the lease is checked
in one place, and what a worker without it wanted to record is never written.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fitqueue.reports import ArtifactWritten, CheckpointWritten, EpochEnded, Position, PrintedLine
from fitqueue.states import EventKind, Phase
from fitqueue.weights import LAST_WITH_OPTIMIZER
from service import clock
from service.forecast.pace import next_pace
from service.job_limits import DEFAULT_LIMITS, JobLimits
from service.models import Artifact, Checkpoint, Epoch, EpochMetric, Job, LogLine
from service.store import counters, diagnoses, events, step_metrics, training_times, turns
from service.store.counters import Duration
from service.store.limits import check_checkpoints

MAX_LINE_LENGTH: Final = 8_192
MAX_LINES: Final = 20_000
"""Lines of a job that are kept. The oldest go first, because the last ones say why a job died."""


def begin_training(session: Session, job: Job, position: Position) -> None:
    """Record that training starts at this position, and delete what earlier attempts recorded beyond it."""
    if position == Position(0):
        job.best_epoch = job.best_monitor = job.best_value = None
    job.epoch, job.step = position.epochs_begun, position.step
    for table in (EpochMetric, Epoch):
        session.execute(delete(table).where(table.job_id == job.id, table.epoch > position.epoch))
    step_metrics.delete_beyond(session, job, position)
    job.running_metrics = None
    job.paced_at, job.paced_epochs = None, 0
    if job.seconds_per_epoch is None:
        [similar] = training_times.read(session, [job])
        job.seconds_per_epoch = similar.seconds_per_epoch if similar is not None else None
    turns.expect_pace(session, job, clock.now(session))
    _changed(job)


def record_resumed(session: Session, job: Job, position: Position, differences: Sequence[str]) -> None:
    """Record that training continues from a snapshot.

    Args:
        differences: why its numbers may differ in their last bits from those of an uninterrupted training.
    """
    inexact = f" It may differ in the last bits: {'; '.join(differences)}." if differences else ""
    message = f"Training resumes {position.description}.{inexact}"
    data = {"epoch": position.epoch, "step": position.step, "exact": not differences}
    _changed(job)
    events.append(session, job, EventKind.RESUMED, clock.now(session), message, data)


def record_phase(session: Session, job: Job, phase: Phase) -> None:
    now = clock.now(session)
    job.phase = phase
    if phase is Phase.TRAINING:
        job.paced_at = now
    _changed(job)
    events.append(session, job, EventKind.PHASE_CHANGED, now, phase.about, {"phase": phase.value})
    if phase is Phase.TRAINING and job.claimed_at is not None:
        counters.observe(session, Duration.START_UP, job.pool, (now - job.claimed_at).total_seconds())


def record_progress(job: Job, position: Position, steps: int, metrics: Mapping[str, float]) -> None:
    """Record the position within an epoch of `steps` steps, and the metrics of this epoch up to there."""
    job.epoch, job.step, job.steps = position.epoch + 1, position.step, steps
    job.running_metrics = step_metrics.to_json(metrics)
    _changed(job)


def record_epoch(session: Session, job: Job, ended: EpochEnded, limits: JobLimits = DEFAULT_LIMITS) -> None:
    """Record an epoch with its metrics and events. A row of the same epoch is replaced."""
    now = clock.now(session)
    job.epoch, job.step, job.steps = ended.epoch, ended.steps, ended.steps
    job.running_metrics = step_metrics.to_json(ended.logs)
    _update_pace(job, ended, now)
    _changed(job)
    for table in (EpochMetric, Epoch):
        session.execute(delete(table).where(table.job_id == job.id, table.epoch == ended.epoch))
    session.add(
        Epoch(
            job_id=job.id,
            epoch=ended.epoch,
            learning_rate=ended.learning_rate,
            seconds=ended.seconds,
            steps=ended.steps,
            attempt=job.attempt,
            finished_at=now,
        )
    )
    session.add_all(
        EpochMetric(job_id=job.id, epoch=ended.epoch, name=name, ordinal=ordinal, value=value)
        for ordinal, (name, value) in enumerate(ended.logs.items())
    )
    message = f"Epoch {ended.epoch} of {job.epochs} was trained in {ended.seconds:.3g} s."
    data = {"epoch": ended.epoch, **ended.logs}
    events.append_bounded(session, job, EventKind.EPOCH_ENDED, now, message, data, limits.events)
    if ended.next_learning_rate < ended.learning_rate:
        _append_reduction(session, job, ended, now, limits)
    diagnoses.announce_change(session, job, now)
    counters.observe(session, Duration.EPOCH, job.pool, ended.seconds)


def record_checkpoint(
    session: Session, job: Job, written: CheckpointWritten, storage_key: str, limits: JobLimits = DEFAULT_LIMITS
) -> list[str]:
    """Point the names of a checkpoint at its stored file.

    Returns:
        The storage keys that no name points at any more. The caller deletes those files after the commit.

    Raises:
        LimitReached: the job has too many checkpoints, or too large ones. Nothing may be committed.
    """
    now = clock.now(session)
    if "best" in written.names:
        job.best_epoch, job.best_monitor, job.best_value = written.epoch, written.monitor, written.value
    _changed(job)
    keys_of_job = select(Checkpoint.storage_key).where(Checkpoint.job_id == job.id)
    replaced = set(session.scalars(keys_of_job.where(Checkpoint.name.in_(written.names))))
    session.execute(delete(Checkpoint).where(Checkpoint.job_id == job.id, Checkpoint.name.in_(written.names)))
    session.add_all(_checkpoint_row(job, name, written, storage_key, now) for name in dict.fromkeys(written.names))
    session.flush()
    check_checkpoints(session, job, limits)
    for name in written.names:
        _append_saved(session, job, name, written, now, limits)
    return sorted(replaced - set(session.scalars(keys_of_job)))


def record_artifact(session: Session, job: Job, written: ArtifactWritten, storage_key: str) -> list[str]:
    """Point the name of an artifact at its stored file; return the replaced key, as `record_checkpoint` does."""
    _changed(job)
    earlier = session.get(Artifact, (job.id, written.name))
    replaced = [earlier.storage_key] if earlier is not None else []
    session.merge(
        Artifact(
            job_id=job.id,
            name=written.name,
            storage_key=storage_key,
            size=written.size,
            sha256=written.sha256,
            attempt=job.attempt,
            created_at=clock.now(session),
        )
    )
    session.flush()
    return replaced


def record_lines(session: Session, job: Job, lines: Sequence[PrintedLine], limits: JobLimits = DEFAULT_LIMITS) -> None:
    """Append lines to the job's log, each at most 8,192 characters long and without NUL, which PostgreSQL refuses.

    The last 20,000 lines of a job are kept, or fewer if they have too many bytes.
    """
    rows = [
        LogLine(job_id=job.id, at=line.at, attempt=job.attempt, stream=line.stream, text=_storable(line.text))
        for line in lines
    ]
    session.add_all(rows)
    session.flush()
    job.log_bytes += sum(_size(row.text) for row in rows)
    newest_to_delete = _newest_to_delete(session, job, limits.log_bytes)
    if newest_to_delete is not None:
        deletion = delete(LogLine).where(LogLine.job_id == job.id, LogLine.id <= newest_to_delete)
        deleted = session.scalars(deletion.returning(LogLine.text).execution_options(synchronize_session=False)).all()
        job.log_bytes = max(job.log_bytes - sum(map(_size, deleted)), 0)
        _count_left_out(session, job, len(deleted), limits.log_bytes)


def _newest_to_delete(session: Session, job: Job, most_bytes: int) -> int | None:
    """Return the id of the newest line that is one too many; None if none is."""
    of_job = select(LogLine.id).where(LogLine.job_id == job.id)
    newest = session.scalar(of_job.order_by(LogLine.id.desc()).offset(MAX_LINES).limit(1))
    left = job.log_bytes
    if left <= most_bytes:
        return newest
    oldest_first = of_job.add_columns(LogLine.text).order_by(LogLine.id).execution_options(yield_per=100)
    with session.execute(oldest_first) as rows:
        for line_id, text in rows:
            if left <= most_bytes:
                break
            left -= _size(text)
            newest = max(newest or 0, line_id)
    return newest


def _count_left_out(session: Session, job: Job, count: int, most_bytes: int) -> None:
    """Count lines that were deleted. The first time, an event says so."""
    if job.log_lines_left_out == 0:
        message = (
            f"The log has reached {MAX_LINES:,} lines, or {most_bytes:,} bytes (FITQUEUE_MAX_LOG_BYTES). From now on, "
            "its oldest lines are deleted."
        )
        data = {"lines": MAX_LINES, "bytes": most_bytes}
        events.append(session, job, EventKind.LOG_LINES_LEFT_OUT, clock.now(session), message, data)
    job.log_lines_left_out += count


def _changed(job: Job) -> None:
    """Give the row a new version. Its lock makes reading and writing it here safe."""
    job.version += 1


def _update_pace(job: Job, ended: EpochEnded, now: datetime) -> None:
    """Take the time since the epoch before into the pace: what is saved between epochs is not in `ended.seconds`."""
    since = (now - job.paced_at).total_seconds() if job.paced_at is not None else 0.0
    job.paced_epochs += 1
    job.seconds_per_epoch = next_pace(job.seconds_per_epoch, job.paced_epochs, max(since, ended.seconds))
    job.paced_at = now


def _append_reduction(session: Session, job: Job, ended: EpochEnded, now: datetime, limits: JobLimits) -> None:
    message = f"The learning rate went from {ended.learning_rate:.6g} to {ended.next_learning_rate:.6g}."
    data = {"epoch": ended.epoch, "from": ended.learning_rate, "to": ended.next_learning_rate}
    events.append_bounded(session, job, EventKind.LEARNING_RATE_REDUCED, now, message, data, limits.events)


def _append_saved(
    session: Session, job: Job, name: str, written: CheckpointWritten, now: datetime, limits: JobLimits
) -> None:
    if name in ("last", LAST_WITH_OPTIMIZER):
        return
    value = "" if written.monitor is None or written.value is None else f" ({written.monitor} {written.value:.6g})"
    data = {"name": name, "epoch": written.epoch, "monitor": written.monitor, "value": written.value}
    if name == "best":
        kind, message = EventKind.BEST_IMPROVED, f"Epoch {written.epoch} is the best so far{value}."
    else:
        kind, message = EventKind.CHECKPOINT_SAVED, f"'{name}' was saved{value}."
    events.append_bounded(session, job, kind, now, message, data, limits.events)


def _checkpoint_row(job: Job, name: str, written: CheckpointWritten, storage_key: str, now: datetime) -> Checkpoint:
    return Checkpoint(
        job_id=job.id,
        name=name,
        storage_key=storage_key,
        format=written.format,
        epoch=written.epoch,
        batch=written.batch,
        metrics=events.finite(written.logs),
        monitor=written.monitor,
        value=written.value,
        size=written.size,
        sha256=written.sha256,
        has_optimizer=written.has_optimizer,
        attempt=job.attempt,
        created_at=now,
    )


def _size(text: str) -> int:
    return len(text.encode())


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:MAX_LINE_LENGTH]
