"""Going on where a snapshot was taken: when snapshots are due, and how Keras's `fit` begins within an epoch."""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import trainer

from fitqueue.reports import Position
from workers.trainer.callbacks import SwapEMAWeights
from workers.trainer.snapshot import Snapshot, State

Epochs = Iterator[tuple[int, int, Any]]


class Snapshots(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Takes snapshots, and restores the one to go on from. It stands last, after all that it looks at.

    Within an epoch it takes them where a batch begins: Keras calls that in the training thread itself, when the batch
    before is whole.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        files: Callable[[], dict[str, bytes]],
        order: Callable[[Snapshot], None],
        *,
        epochs: int,
        seconds: float,
        fingerprint: Mapping[str, str],
        restored: Snapshot | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`files` tells what the callbacks have written until now, and `order` has a snapshot written.

        The job has so many `epochs` in all; `seconds` may pass within one before a snapshot is taken.
        """
        super().__init__()
        self._callbacks = callbacks
        self._files = files
        self._order = order
        self._epochs = epochs
        self._seconds = seconds
        self._fingerprint = fingerprint
        self._restored = restored
        self._clock = clock
        self._taken_at = clock()
        self._epoch = 0
        self._next: Position | None = None
        """Where the training stands when the batch is done that has begun."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 -- Keras's call
        if self._restored is not None:
            State(self.model, self._callbacks).restore(self._restored)
            self._finish_averages(self._restored.position)
            if self._restored.position.step == 0:
                self._restored = None
        self._taken_at = self._clock()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._epoch, self._next = epoch, None
        if self._restored is not None:
            State(self.model, self._callbacks).restore_epoch(self._restored)
            self._restored = None  # its arrays are of no more use

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        if batch > 0 and self._clock() - self._taken_at >= self._seconds:
            self._take(Position(self._epoch, batch))
        self._next = Position(self._epoch, batch + self.model.steps_per_execution)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._next = None  # the metrics add up something else

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._take(Position(epoch + 1))
        self._finish_averages(Position(epoch + 1))
        self._next = None

    def _finish_averages(self, position: Position) -> None:
        """What Keras's SwapEMAWeights does before a snapshot of the last epoch could be taken."""
        for callback in self._callbacks:
            if isinstance(callback, SwapEMAWeights) and position == Position(self._epochs):
                callback.finish()

    def take_last(self) -> None:
        """To be called where the training is left between two batches."""
        if self._next is not None:
            self._take(self._next)

    def _take(self, position: Position) -> None:
        self._order(State(self.model, self._callbacks).take(position, self._files(), self._fingerprint))
        self._taken_at = self._clock()


def fingerprint(*, deterministic: bool) -> dict[str, str]:
    """What the numbers of a training depend on beside its job."""
    return {
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "processor": _processor(),
        "devices": ", ".join(device.name for device in tf.config.list_logical_devices()),
        "gpus": ", ".join(map(_model_of, tf.config.list_physical_devices("GPU"))),
        "determinism": "on" if deterministic else "off",
        "threads": f"{tf.config.threading.get_intra_op_parallelism_threads()}",
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }


def _model_of(gpu: tf.config.PhysicalDevice) -> str:
    return str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))


def _processor() -> str:
    """oneDNN has other kernels for each kind."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def differences(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """What has changed, in words; none where a resumed training will be exact."""
    changed = [f"{name} was {then.get(name)}, is {now.get(name)}" for name in now if now.get(name) != then.get(name)]
    if now.get("gpus") and now.get("determinism") != "on":
        changed.append("operations of a GPU give other last bits each time unless the job says `deterministic`")
    return changed


def begin_at(position: Position, model: keras.Model) -> None:
    """Have the next `fit` begin within its first epoch, or within its data, with all variables made.

    Keras makes the batches of `fit` itself, in an order that is the same for each pass: those that were trained are
    drawn once more and thrown away.
    """
    if model.distribute_strategy.num_replicas_in_sync == 1:
        # Else Keras makes the optimizer's and the metrics' at the first step, too late to restore them.
        model._maybe_symbolic_build = model._symbolic_build
    original: Any = trainer.TFEpochIterator

    class Resumed(original):  # type: ignore[misc] # Keras has no types
        _has_begun = False

        def reset(self) -> None:
            super().reset()
            self._has_begun = False  # the batch that was drawn to make the variables does not count

        def _enumerate_iterator(self) -> Epochs:
            first, self._has_begun = not self._has_begun, True
            return self._first_epoch() if first else super()._enumerate_iterator()

        def _first_epoch(self) -> Epochs:
            """As Keras's own, but for where it begins."""
            self._steps_seen = drawn_batches(
                position, self._num_batches, self.steps_per_epoch, self.steps_per_execution
            )
            self._current_iterator = iter(self._get_iterator())
            for _ in range(self._steps_seen):
                next(self._current_iterator)
            for step in range(position.step, self.num_batches, self.steps_per_execution):
                if self._steps_seen >= self._num_batches:
                    self._interrupted_warning()
                    break
                self._steps_seen += self.steps_per_execution
                yield step, step + self.steps_per_execution - 1, self._current_iterator
            if self._steps_seen >= self._num_batches:
                self._current_iterator = iter(self._get_iterator())
                self._steps_seen = 0

    def make(*arguments: Any, **more: Any) -> Any:
        # The first that `fit` makes is that of the training; the one for validation has nothing to go on from.
        trainer.TFEpochIterator = original
        return Resumed(*arguments, **more)

    trainer.TFEpochIterator = make


def drawn_batches(position: Position, batches: int, steps_per_epoch: int | None, steps_per_execution: int) -> int:
    """How many batches were drawn since the last pass over the data began. Of `batches` a pass, the last may be small.

    With `steps_per_epoch` an epoch goes on where the one before has ended, and ends early where the data does.
    """
    if steps_per_epoch is None:
        return position.step
    drawn = 0
    for _ in range(position.epoch):
        executions = min(-(-steps_per_epoch // steps_per_execution), -(-(batches - drawn) // steps_per_execution))
        drawn += executions * steps_per_execution
        drawn = 0 if drawn >= batches else drawn
    return drawn + position.step
