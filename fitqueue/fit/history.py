"""What `fit` returns: a History of the caller's Keras, with the job it comes from."""

from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from fitqueue.errors import JobFailed
from fitqueue.fit.plots import plot
from fitqueue.pictures.jobs import picture_of_training
from fitqueue.pictures.picture import Picture, Pictured
from fitqueue.states import JobState
from fitqueue.views import EpochView, JobView


class JobHistory(Pictured):
    """What the History of a job has beside that of Keras.

    Attributes:
        job: as it was when it was last seen.
    """

    job: JobView
    _epochs: tuple[EpochView, ...]

    def plot(self) -> Any:
        """Draw the curves: with matplotlib, if it is installed, and otherwise as a picture for a notebook.

        Returns:
            The axes of matplotlib, one for each metric, or the picture.
        """
        return plot(self.job, self._epochs)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type, dict[str, Any]]]:
        """Return how to make it anew: its class is made while the program runs, and a pickle cannot name it."""
        return _make, (type(self).__bases__[1], self.__dict__)

    def __repr__(self) -> str:
        return self._picture().text

    def _picture(self) -> Picture:
        return picture_of_training(self.job, self._epochs)


@cache
def history_class(base: type) -> type:
    """Return a subclass of the History of a Keras."""
    return type("History", (JobHistory, base), {"__module__": __name__, "__doc__": base.__doc__})


def make_history(keras: ModuleType, model: Any, job: JobView, epochs: Sequence[EpochView]) -> Any:
    """Return a `keras.callbacks.History` as `model.fit` returns it; `.job` is the job."""
    history = history_class(keras.callbacks.History)()
    history.set_params({"verbose": 0, "epochs": job.progress.epochs, "steps": job.progress.steps})
    history.set_model(model)
    history.epoch = [epoch.epoch - 1 for epoch in epochs]
    history.history = logs_by_name(epochs)
    history.job = job
    history._epochs = tuple(epochs)
    model.history = history
    return history


def logs_by_name(epochs: Sequence[EpochView]) -> dict[str, list[float]]:
    """Return the values of each name in the order of the epochs. One that an epoch did not log is missing there."""
    logs: dict[str, list[float]] = {}
    for epoch in epochs:
        for name, value in epoch.metrics.items():
            logs.setdefault(name, []).append(_logged(epoch, name, value))
    return logs


def _logged(epoch: EpochView, name: str, value: float | None) -> float:
    return float(epoch.non_finite_values.get(name, "NaN")) if value is None else value


def ended_badly(job: JobView) -> JobFailed | None:
    """Return the error to raise for a job that has failed."""
    if job.state is not JobState.FAILED:
        return None
    return JobFailed(f"The job {job.id} has failed ({job.reason}): {job.message}")


def _make(base: type, attributes: dict[str, Any]) -> Any:
    history: Any = object.__new__(history_class(base))
    history.__dict__.update(attributes)
    return history
