"""The rows that the pages show: jobs with many epochs, as workers would have recorded them."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.api import write_epochs
from benchmarks.common import cnn_job
from fitqueue.reports import CheckpointWritten, EpochEnded, Position, PrintedLine
from fitqueue.spec import parse_job
from fitqueue.states import Phase, Reason
from service.db import Database
from service.store import attempt_outcomes, jobs, leases, recording
from service.store.leases import Lease

LEASE_SECONDS = 86_400.0
STEPS = 938
MAX_EPOCHS = 100_000


def logs_of(epoch: int) -> dict[str, float]:
    """Return what an epoch logs. Its losses fall for ever, so each epoch is the best so far."""
    loss = 1 / math.log(epoch + 2)
    return {"loss": loss, "accuracy": 1 - loss / 2, "val_loss": 1.1 * loss, "val_accuracy": 1 - loss / 1.9}


def start_job(database: Database, name: str, epochs: int = 0) -> Lease:
    """Store a job that a worker trains, with so many epochs behind it; return the lease of the worker."""
    spec = parse_job({**cnn_job("digits", epochs=MAX_EPOCHS), "name": name}, lambda _: None).spec
    with database.write() as session:
        jobs.create(session, spec, [])
        claimed = leases.claim(session, "benchmark", ["default"], [], LEASE_SECONDS)
        assert claimed is not None
        lease = claimed.lease
        job = leases.held_job(session, lease)
        recording.record_phase(session, job, Phase.TRAINING)
        recording.record_lines(session, job, [PrintedLine(datetime.now(UTC), "stdout", f"line {n}") for n in range(50)])
    if epochs > 1:
        write_epochs(database, lease.job_id, epochs - 1)
    if epochs:
        record_epoch(database, lease, epochs)
    return lease


def end_job(database: Database, lease: Lease) -> str:
    """Let a job succeed, and return its id."""
    with database.write() as session:
        assert attempt_outcomes.finish(session, lease, Reason.COMPLETED, "All epochs were trained.")
    return lease.job_id


def record_progress(database: Database, lease: Lease, epoch: int, step: int) -> None:
    """Record that so many epochs were trained, and so many steps of the next."""
    with database.write() as session:
        recording.record_progress(leases.held_job(session, lease), Position(epoch, step), STEPS, logs_of(epoch))


def record_epoch(database: Database, lease: Lease, epoch: int) -> None:
    """Record an epoch, and its weights as the best so far."""
    logs = logs_of(epoch)
    ended = EpochEnded(epoch=epoch, logs=logs, learning_rate=0.1, next_learning_rate=0.1, seconds=2.0, steps=STEPS)
    written = CheckpointWritten(
        file="1", size=10_000_000, sha256="0" * 64, names=["best"], format="weights.h5", position=Position(epoch),
        logs=logs, monitor="val_loss", value=logs["val_loss"],
    )  # fmt: skip
    with database.write() as session:
        recording.record_epoch(session, leases.held_job(session, lease), ended)
    with database.write() as session:
        recording.record_checkpoint(session, leases.held_job(session, lease), written, f"checkpoints/{epoch}")


def started_jobs(database: Database, count: int, epochs: int) -> Sequence[Lease]:
    return [start_job(database, f"job {n}", epochs) for n in range(count)]
