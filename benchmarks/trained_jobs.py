"""Stores jobs with long histories, as workers would have recorded them, without training them."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from fitqueue.datasets import BUILTIN
from fitqueue.spec import parse_job
from fitqueue.states import JobState, Reason
from service.db import Database
from service.models import Epoch, EpochMetric, Job
from service.store import jobs

SECONDS_PER_EPOCH = 2.0
BEGINNING = datetime(2026, 1, 1, 8, tzinfo=UTC)


def job_body(epochs: int, rate: float, name: str | None = None) -> dict[str, Any]:
    """Return a job on the digits."""
    layers = [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}]
    return {
        **({} if name is None else {"name": name}),
        "model": {"class_name": "Sequential", "config": {"layers": layers}},
        "compile": {
            "optimizer": {"class_name": "Adam", "config": {"learning_rate": rate}},
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
        },
        "data": {"dataset": "digits", "x": "x_train", "y": "y_train", "validation": {"x": "x_test", "y": "y_test"}},
        "fit": {"epochs": epochs},
    }


def store_trained_jobs(database: Database, count: int, epochs: int) -> list[str]:
    """Store jobs that have succeeded, with four metrics an epoch, and return their ids."""
    return [store_trained_job(database, epochs, number) for number in range(count)]


def store_trained_job(database: Database, epochs: int, number: int = 0, **fields: Any) -> str:
    """Store a job that has succeeded. `fields` replace those of the job."""
    spec = parse_job(
        {**job_body(epochs, 0.001 * (number + 1), f"trained-{number}"), **fields},
        lambda name: BUILTIN[name].info if name in BUILTIN else None,
    ).spec
    with database.write() as session:
        job_id = jobs.create(session, spec, []).id
        add_epochs(session, job_id, list(curves(epochs, number)))
        finished = {"state": JobState.SUCCEEDED, "reason": Reason.COMPLETED, "message": Reason.COMPLETED.about}
        finished |= {"finished_at": BEGINNING + timedelta(seconds=SECONDS_PER_EPOCH * epochs)}
        session.execute(update(Job).where(Job.id == job_id).values(**finished))
    return job_id


def add_epochs(session: Session, job_id: str, values: list[dict[str, float]], first: int = 1) -> None:
    """Add the metrics of the epochs from the first on, and set the progress and the best of the job after them."""
    numbered = list(enumerate(values, first))
    epochs = [
        {
            "job_id": job_id,
            "epoch": epoch,
            "learning_rate": 0.001,
            "seconds": SECONDS_PER_EPOCH,
            "steps": 10,
            "attempt": 1,
            "finished_at": BEGINNING + timedelta(seconds=SECONDS_PER_EPOCH * epoch),
        }
        for epoch, _ in numbered
    ]
    metrics = [
        {"job_id": job_id, "epoch": epoch, "name": name, "ordinal": ordinal, "value": value}
        for epoch, row in numbered
        for ordinal, (name, value) in enumerate(row.items())
    ]
    session.execute(insert(Epoch), epochs)
    session.execute(insert(EpochMetric), metrics)
    monitor = "val_loss" if "val_loss" in values[0] else "loss"
    finite = [(row[monitor], epoch) for epoch, row in numbered if math.isfinite(row.get(monitor, math.nan))]
    best: dict[str, Any] = {}
    if finite:
        value, epoch = min(finite)
        best = {"best_monitor": monitor, "best_value": value, "best_epoch": epoch}
    begun = {"attempt": 1, "started_at": BEGINNING, "epoch": numbered[-1][0], "step": 10, "steps": 10}
    session.execute(update(Job).where(Job.id == job_id).values(**begun, **best, version=Job.version + 1))


def curves(epochs: int, seed: int) -> Iterator[dict[str, float]]:
    """Yield noisy values that fall and rise as those of a training do, the same for the same seed."""
    noise = random.Random(seed)
    for epoch in range(1, epochs + 1):
        loss = 2 / (1 + epoch / (30 + 5 * seed)) + 0.05 * noise.random()
        val_loss = loss + 0.1 + 0.05 * noise.random()
        yield {
            "loss": loss,
            "accuracy": 1 - 0.4 * loss,
            "val_loss": val_loss,
            "val_accuracy": 1 - 0.4 * val_loss,
        }
