"""`client.fit`: what `model.fit` does, as a job."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from fitqueue.client.datasets import DatasetMethods
from fitqueue.client.jobs import JobMethods
from fitqueue.client.results import ResultMethods
from fitqueue.fit.framework import framework_of
from fitqueue.fit.history import make_history
from fitqueue.fit.spec import Described, FitCall, JobOptions, describe
from fitqueue.views import JobView

Restore = Literal["best", "last"] | None


class TrainingMethods(JobMethods, ResultMethods, DatasetMethods):
    """The methods of `Client` that train a model of this process."""

    def fit(
        self: Self,
        model: Any,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        callbacks: Sequence[Any] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[Any, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        gpus: int = 0,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        pool: str | None = None,
        priority: int | None = None,
        seed: int | None = None,
        restore: Restore = "best",
        wait: bool = True,
    ) -> Any:
        """Train a model as a job, with the arguments of `model.fit`; the model then holds the trained weights.

        The model, its compilation, its callbacks and its weights as they are now are sent as data. What is code cannot
        be sent: that is refused, all of it at once, before anything is sent.

        Args:
            model: a compiled Sequential or functional model, of Keras 3 or of Keras 2 (`tf_keras`).
            gpus: how many GPUs to train on.
            name: of the job, for people.
            labels: of the job, to find it by.
            pool: the pool of workers that train it.
            priority: jobs with a higher one start sooner.
            seed: of the random generators; drawn at random if it is not given.
            restore: the weights that the model gets: those of the best epoch, of the last one, or none.
            wait: return when the job has ended. Otherwise return the job at once; `attach` follows it.

        Returns:
            A `keras.callbacks.History` with the job as `.job`; without `wait` the job.

        Raises:
            TypeError: the model is not a Keras model.
            InvalidSpec: names all that cannot be sent, or that the service refuses.
        """
        call = FitCall(
            epochs=epochs, batch_size=batch_size, callbacks=callbacks, validation_split=validation_split,
            shuffle=shuffle, class_weight=class_weight, initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps, validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )  # fmt: skip
        options = JobOptions(gpus=gpus, name=name, labels=labels, pool=pool, priority=priority, seed=seed)
        described = describe(model, x, y, sample_weight, validation_data, call, options)
        job = self._send(model, described)
        return self.attach(job.id, model, restore=restore) if wait else job

    def attach(self, job_id: str, model: Any, *, restore: Restore = "best") -> Any:
        """Follow a job that `fit` has begun, in this or in another process, until it ends.

        Args:
            job_id: the job.
            model: a model with the layers of the job's; it gets the weights.
            restore: the weights that the model gets: those of the best epoch, of the last one, or none.

        Returns:
            A `keras.callbacks.History` with the job as `.job`.

        Raises:
            JobNotFound: there is no job with this id.
        """
        keras = framework_of(model)
        job = self.wait(job_id)
        if restore is not None and job.progress.epoch > 0:
            self._restore(model, job_id, restore)
        return make_history(keras, model, job, self.metrics(job_id))

    def _send(self, model: Any, described: Described) -> JobView:
        with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
            data, weights = Path(folder) / "data.npz", Path(folder) / "initial.weights.h5"
            arrays: dict[str, Any] = described.arrays
            np.savez(data, **arrays)
            model.save_weights(weights)
            uploaded, initial = self.upload(data), self.upload(weights)
        spec = {**described.spec, "initial_weights": {"dataset": initial.id}}
        spec["data"] = {**spec["data"], "dataset": uploaded.id}
        return self.submit(spec)

    def _restore(self, model: Any, job_id: str, which: str) -> None:
        with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
            model.load_weights(self.download(job_id, which, Path(folder) / "restored.weights.h5"))
