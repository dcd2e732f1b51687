"""What a job leaves in the database, but for its times: equal for two jobs that were trained alike."""

from typing import Any

from sqlalchemy import select

from service.db import Database
from service.models import Checkpoint, Epoch, EpochMetric, Job


def result(database: Database, job_id: str) -> dict[str, Any]:
    """Epochs with their metrics to the last bit, checkpoints with their sha256, how it ended and what was best."""
    with database.read() as session:
        epochs = session.execute(
            select(Epoch.epoch, Epoch.learning_rate, Epoch.steps).where(Epoch.job_id == job_id).order_by(Epoch.epoch)
        ).all()
        metrics = session.execute(
            select(EpochMetric.epoch, EpochMetric.name, EpochMetric.value)
            .where(EpochMetric.job_id == job_id)
            .order_by(EpochMetric.epoch, EpochMetric.ordinal)
        ).all()
        checkpoints = session.execute(
            select(Checkpoint.name, Checkpoint.epoch, Checkpoint.value, Checkpoint.sha256)
            .where(Checkpoint.job_id == job_id)
            .order_by(Checkpoint.name)
        ).all()
        end = session.execute(
            select(Job.state, Job.reason, Job.message, Job.epoch, Job.best_epoch, Job.best_value).where(
                Job.id == job_id
            )
        ).one()
    return {"epochs": epochs, "metrics": metrics, "checkpoints": checkpoints, "end": end}
