"""What `fit` gives back: a History of the caller's Keras, with the job it comes from."""

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from fitqueue.errors import JobFailed
from fitqueue.states import JobState
from fitqueue.views import EpochView, JobView


def make_history(keras: ModuleType, model: Any, job: JobView, epochs: Sequence[EpochView]) -> Any:
    """Return a `keras.callbacks.History` as `model.fit` returns it; `.job` is the job."""
    history = keras.callbacks.History()
    history.set_params({"verbose": 0, "epochs": job.progress.epochs, "steps": job.progress.steps})
    history.set_model(model)
    history.epoch = [epoch.epoch - 1 for epoch in epochs]
    history.history = logs_by_name(epochs)
    history.job = job
    model.history = history
    return history


def logs_by_name(epochs: Sequence[EpochView]) -> dict[str, list[float]]:
    """Return the values of each name in the order of the epochs. One that an epoch did not log is missing there."""
    logs: dict[str, list[float]] = {}
    for epoch in epochs:
        for name, value in epoch.metrics.items():
            logs.setdefault(name, []).append(math.nan if value is None else value)
    return logs


def ended_badly(job: JobView) -> JobFailed | None:
    """Return the error to raise for a job that has failed."""
    if job.state is not JobState.FAILED:
        return None
    return JobFailed(f"The job {job.id} has failed ({job.reason}): {job.message}")
