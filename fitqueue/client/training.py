"""`client.fit`: what `model.fit` does, as a job."""

import tempfile
import uuid
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from fitqueue.client.datasets import DatasetMethods
from fitqueue.client.jobs import Spec
from fitqueue.client.transport import LONG_RETRY_SECONDS
from fitqueue.client.waiting import WaitingMethods
from fitqueue.client.wrong_types import not_a_job
from fitqueue.errors import Unreachable
from fitqueue.roles import DEFAULT_PROJECT
from fitqueue.spec.findings import NoticeCode
from fitqueue.states import JobState
from fitqueue.views import DryRun, JobView, Notice
from fitqueue.weights import LAST_WITH_OPTIMIZER

if TYPE_CHECKING:
    from fitqueue.fit.followers import Follower, Transfers
    from fitqueue.fit.spec import Described

Restore = Literal["best", "last", "all"] | None
Verbose = Literal["auto", 0, 1, 2]


class TrainingMethods(WaitingMethods, DatasetMethods):
    """The methods of `Client` that train a model of this process.

    They load `fitqueue.fit`, and with it NumPy, when they are called: the command line does without.
    """

    @overload
    def submit(
        self, spec: Spec, *, dry_run: Literal[False] = ..., wait: bool = ..., idempotency_key: str | None = ...
    ) -> JobView: ...
    @overload
    def submit(self, spec: Spec, *, dry_run: Literal[True]) -> DryRun: ...
    @overload
    def submit(self, *, model: Any, x: Any = ..., y: Any = ..., **arguments: Any) -> JobView: ...
    def submit(self, spec: Spec | None = None, *data: Any, model: Any = None, **arguments: Any) -> JobView | DryRun:
        """Submit a job: one that is written as JSON, or `model` with the arguments of `fit`.

        Args:
            spec: the job: a dict, JSON, or the path of a JSON file. Then the other arguments are those below.
            data: none. Arrays go with a model: `model=model, x=x, y=y`.
            model: a compiled Keras model, in place of `spec`. Then the other arguments are those of `fit`.
            dry_run: check the job, and store nothing.
            wait: return only when the job has ended.
            idempotency_key: a key of your own for this job. Set it if you may have to submit the job again, after an
                Unreachable or from another process: the same key with the same job returns the job that already exists.

        Returns:
            The queued job, with `wait` the ended job, with `dry_run` what the service would store.

        Raises:
            TypeError: the spec is something else, such as a model; says what to do with it.
            MalformedJSON: the spec is not JSON.
            InvalidSpec: the job is invalid; `errors` lists every fault.
            IdempotencyMismatch: the key was already used with a different job.
        """
        if (spec is None) == (model is None):
            raise TypeError("submit needs either a job as JSON or a model: client.submit(model=model, x=x, y=y, …)")
        if data:
            raise not_a_job(data[0] if isinstance(spec, Mapping) else spec)
        if spec is None:
            return cast(JobView, self.fit(model, **arguments, wait=False))
        return self._submit_json(spec, **arguments)

    def _submit_json(
        self, spec: Spec, *, dry_run: bool = False, wait: bool = False, idempotency_key: str | None = None
    ) -> JobView | DryRun:
        if dry_run:
            return self._dry_run(spec)
        job = self._submit(spec, idempotency_key)
        return self.wait(job.id) if wait else job

    def fit(
        self,
        model: Any,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Verbose = "auto",
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
        project: str = DEFAULT_PROJECT,
        labels: Mapping[str, str] | None = None,
        pool: str | None = None,
        priority: int | None = None,
        preemptible: bool = False,
        seed: int | None = None,
        restore: Restore = "best",
        wait: bool = True,
    ) -> Any:
        """Train a model as a job, with the arguments of `model.fit`; the model then holds the trained weights.

        The model, its compilation, its callbacks and its weights as they are now are sent as data. What is code cannot
        be sent: all of it is refused at once, before anything is sent.

        Ctrl-C, or the button of a notebook, leaves the job alone: this returns the history so far, and `attach` follows
        the job again.

        Args:
            model: a compiled Sequential or functional model, of Keras 3 or of Keras 2 (`tf_keras`).
            x: the inputs: an array of numbers with the samples first, a list or a dict of them by the names of the
                inputs, a frame of pandas or polars; or a `tf.data.Dataset`, a `PyDataset` or a generator, whose
                batches of one epoch are taken and sent.
            y: the targets, likewise.
            verbose: 1 shows a bar, 2 a line for each epoch, 0 nothing; "auto" a bar where somebody looks at it.
            gpus: how many GPUs to train on.
            name: of the job, for people.
            project: that the job and its data belong to. Whoever sees the project sees both.
            labels: of the job, to find it by.
            pool: the pool of workers that train it.
            priority: jobs with a higher one start sooner.
            preemptible: train on devices that nobody else needs, and make room for others.
            seed: of the random generators; drawn at random if it is not given.
            restore: the weights that the model gets: those of the best epoch, of the last one, or none. "all" gives
                those of the last epoch and the variables of the optimizer, so that the next `fit`, here or as a job,
                goes on as if this one had not ended.
            wait: return when the job has ended. Otherwise return the job at once; `attach` follows it.

        Returns:
            A `keras.callbacks.History` with the job as `.job`; without `wait` the job.

        Raises:
            TypeError: the model is not a Keras model.
            ValueError: `restore` is not one of these values, or it is "all" for a model of Keras 2.
            InvalidSpec: names all that cannot be sent, or that the service refuses.
            JobFailed: the job has failed; the error has its reason, and what it trained until then as `.history`.
        """
        from fitqueue.fit.bars import uploading
        from fitqueue.fit.framework import framework_of
        from fitqueue.fit.spec import FitCall, JobOptions, describe

        keras = framework_of(model)
        check_restore(keras, restore)
        call = FitCall(
            epochs=epochs, batch_size=batch_size, callbacks=callbacks, validation_split=validation_split,
            shuffle=shuffle, class_weight=class_weight, initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps, validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )  # fmt: skip
        options = JobOptions(
            gpus=gpus, name=name, project=project, labels=labels, pool=pool, priority=priority,
            preemptible=preemptible, seed=seed, save_optimizer=restore == "all",
        )  # fmt: skip
        with uploading(verbose) as transfers:
            described = describe(model, x, y, sample_weight, validation_data, call, options, transfers.collecting)
            spec = self._upload_parts(keras, model, described, transfers, project)
        job, is_interrupted = self._submit_once(spec)
        _warn_of([*described.notices, *(notice for notice in job.notices if notice.code not in _OF_NO_INTEREST)])
        if not wait:
            return job
        return self._follow(keras, job.id, model, restore, verbose, transfers, is_interrupted=is_interrupted)

    def attach(self, job_id: str, model: Any, *, restore: Restore = "best", verbose: Verbose = "auto") -> Any:
        """Follow a job that `fit` has begun, in this or in another process, until it ends.

        Args:
            job_id: the job.
            model: a model with the layers of the job's; it gets the weights.
            restore: the weights that the model gets: those of the best epoch, of the last one, or none.
            verbose: as for `fit`.

        Returns:
            A `keras.callbacks.History` with the job as `.job`.

        Raises:
            TypeError: the model is not a Keras model.
            ValueError: `restore` is not one of these values, or it is "all" for a job that does not save its optimizer.
            JobNotFound: there is no job with this id.
            JobFailed: the job has failed; the error has its reason, and what it trained until then as `.history`.
        """
        from fitqueue.fit.framework import framework_of

        keras = framework_of(model)
        check_restore(keras, restore)
        if restore == "all" and not self.get(job_id).spec.get("save_optimizer"):
            raise ValueError(f'The job {job_id} does not save its optimizer: restore is "best", "last" or None.')
        return self._follow(keras, job_id, model, restore, verbose)

    # --- Before the training ------------------------------------------------------------------------------------------

    def _upload_parts(
        self, keras: ModuleType, model: Any, described: "Described", transfers: "Transfers", project: str
    ) -> dict[str, Any]:
        """Upload the arrays and the weights; return the job that names them."""
        from fitqueue.fit.files import write_arrays
        from fitqueue.fit.weights import save_weights

        with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
            data, weights = Path(folder) / "data.npz", Path(folder) / "initial.weights.h5"
            write_arrays(data, described.arrays)
            options = save_weights(keras, model, weights)
            uploaded, initial = (
                self.upload(path, project=project, on_progress=transfers.sending) for path in (data, weights)
            )
        return {
            **described.spec,
            "data": {**described.spec["data"], "dataset": uploaded.id},
            "initial_weights": {"dataset": initial.id, **options},
        }

    def _submit_once(self, spec: dict[str, Any]) -> tuple[JobView, bool]:
        """Submit a job; return it, and whether the user has interrupted that.

        The service may have the job when the interrupt comes. The same key then gives the same job.
        """
        key = uuid.uuid4().hex
        try:
            return self._submit(spec, key), False
        except KeyboardInterrupt:
            return self._submit(spec, key), True

    # --- While it trains, and after -----------------------------------------------------------------------------------

    def _follow(
        self, keras: ModuleType, job_id: str, model: Any, restore: Restore, verbose: Verbose,
        transfers: "Transfers | None" = None, *, is_interrupted: bool = False,
    ) -> Any:  # fmt: skip
        from fitqueue.fit.bars import following
        from fitqueue.fit.history import ended_badly, make_history

        # A training of hours is not given up for an outage of minutes.
        fetch_epochs = partial(self._epochs, job_id, retry_seconds=LONG_RETRY_SECONDS)
        with following(verbose, fetch_epochs, transfers) as follower:
            try:
                if is_interrupted:
                    raise KeyboardInterrupt
                for job in self.watch(job_id):
                    follower.update(job)
            except KeyboardInterrupt:
                follower.detach(_DETACHED.format(id=job_id))
                return self._history_so_far(keras, model, job_id, follower)
        if restore is not None and job.best is not None:
            self._restore(keras, model, job, restore)
        history = make_history(keras, model, job, fetch_epochs())
        if (error := ended_badly(job)) is not None:
            error.history = history
            raise error
        return history

    def _history_so_far(self, keras: ModuleType, model: Any, job_id: str, follower: "Follower") -> Any:
        """Return the History as it is now or, if the service does not answer, as it was last seen."""
        from fitqueue.fit.history import make_history

        try:
            return make_history(keras, model, self.get(job_id), self.metrics(job_id))
        except Unreachable:
            if follower.job is None:
                raise
            return make_history(keras, model, follower.job, follower.epochs)

    def _restore(self, keras: ModuleType, model: Any, job: JobView, which: str) -> None:
        from fitqueue.fit.weights import load_weights

        has_optimizer = which == "all" and job.state is JobState.SUCCEEDED
        name = LAST_WITH_OPTIMIZER if has_optimizer else "last" if which == "all" else which
        with tempfile.TemporaryDirectory(prefix="fitqueue-") as folder:
            path = self.download(job.id, name, Path(folder) / "restored.weights.h5")
            load_weights(keras, model, path, with_optimizer=has_optimizer)
        if which == "all" and not has_optimizer:
            message = f"The job {job.id} did not end by itself, so its optimizer was not saved: it starts anew."
            warnings.warn(message, stacklevel=4)


def check_restore(keras: ModuleType, restore: Any) -> None:
    """Check the argument `restore` before anything is sent.

    Raises:
        ValueError: it is not one of its values, or the model's version of Keras cannot do it.
    """
    from fitqueue.fit.framework import is_keras_2

    if restore not in ("best", "last", "all", None):
        raise ValueError(f'restore is "best", "last", "all" or None; received {restore!r}')
    if restore == "all" and is_keras_2(keras):
        raise ValueError('restore="all" needs a model of Keras 3: the optimizers of Keras 2 have other variables.')


def _warn_of(notices: Sequence[Notice]) -> None:
    """Warn of what was translated and of what deserves a second look, each once."""
    for message in dict.fromkeys(notice.message for notice in notices):
        warnings.warn(message, stacklevel=3)


_OF_NO_INTEREST = frozenset({NoticeCode.TRANSLATED, NoticeCode.IGNORED, NoticeCode.FILLED_IN})
"""What the service did to Keras's own JSON, which the user has not written."""

_DETACHED = """\
The job {id} goes on. To follow it again: client.attach("{id}", model). To end it: client.cancel("{id}").
The history has the epochs that have ended so far. Interrupt again to stop this program, too."""
