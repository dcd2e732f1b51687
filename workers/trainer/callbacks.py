"""The callbacks that are not simply Keras's own.

They are those that save checkpoints, LearningRateScheduler, whose function is declared as data, and SwapEMAWeights,
whose last step is delayed.

Keras's ModelCheckpoint decides when to save, with its own counters and messages. Where a file goes and how it is
written is our part: instead of the model, each ModelCheckpoint gets an object with the model's two methods for saving.
"""

import math
from collections.abc import Mapping
from typing import Any

import keras

from fitqueue.reports import Position
from fitqueue.spec import KerasObject
from fitqueue.spec.filepath import MAX_RENDERED
from fitqueue.spec.keras_objects.schedules import read_schedule
from fitqueue.text import truncate
from workers.trainer.checkpoint_collector import CheckpointCollector
from workers.trainer.checkpoints import BEST, LAST


class CheckpointModel:
    """Stands in for the model in a ModelCheckpoint. The `filepath` that it gets is a name, never the path of a file."""

    def __init__(
        self, model: keras.Model, collector: CheckpointCollector, *, name: str | None = None, with_optimizer: bool
    ) -> None:
        """Wrap a model; `name` replaces every `filepath`."""
        self._model = model
        self._collector = collector
        self._name = name
        self._with_optimizer = with_optimizer

    @property
    def metrics(self) -> Any:
        return self._model.metrics

    def save_weights(self, filepath: str, overwrite: bool = True) -> None:  # noqa: ARG002 -- a name always moves
        self._collector.request(self._storable_name(filepath), "weights.h5", with_optimizer=self._with_optimizer)

    def save(self, filepath: str, overwrite: bool = True) -> None:  # noqa: ARG002 -- see above
        self._collector.request(self._storable_name(filepath), "keras", with_optimizer=self._with_optimizer)

    def _storable_name(self, filepath: str) -> str:
        # A huge value in a format such as `.3f` has three hundred digits.
        return self._name or truncate(filepath, MAX_RENDERED, tail=40)


class ModelCheckpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc] # Keras has no types
    """Keras's own, with two further arguments.

    Args:
        filepath: a str.format string with known fields only (`Template.keras_format`).
        period: save, or decide whether to save, at the end of every n-th epoch, as in Keras 2.
        include_optimizer: whether to save the optimizer's state, to continue training elsewhere.
    """

    def __init__(
        self,
        filepath: str,
        *,
        collector: CheckpointCollector,
        period: int = 1,
        include_optimizer: bool = False,
        **arguments: Any,
    ) -> None:
        super().__init__(filepath, **arguments)
        self._collector = collector
        self._period = period
        self._include_optimizer = include_optimizer
        self._epochs_since_saved = 0
        # Keras waits for the numbers of every step if a callback needs the ends of batches; only `save_freq` does.
        self.async_safe = self.save_freq == "epoch"

    def set_model(self, model: keras.Model) -> None:
        super().set_model(CheckpointModel(model, self._collector, with_optimizer=self._include_optimizer))

    def _set_monitor_op(self) -> None:
        # Keras fails if it does not know in which direction the monitor gets better, even if it saves every epoch.
        if self.save_best_only:
            super()._set_monitor_op()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            return
        if self.monitor_op is None:
            # Keras sets it only at the end of an epoch, and fails if it needs it for a second save before that.
            self._set_monitor_op()
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epochs_since_saved += 1
        if self._epochs_since_saved >= self._period:
            self._epochs_since_saved = 0
            super().on_epoch_end(epoch, logs)


class BestCheckpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc] # Keras has no types
    """Saves `best`. Keras decides what is better."""

    async_safe = True

    def __init__(self, collector: CheckpointCollector, monitor: str, mode: str) -> None:
        super().__init__("best.weights.h5", monitor=monitor, mode=mode, save_best_only=True, save_weights_only=True)
        self._collector = collector

    def set_model(self, model: keras.Model) -> None:
        super().set_model(CheckpointModel(model, self._collector, name=BEST, with_optimizer=False))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = (logs or {}).get(self.monitor)
        # Keras would take NaN as a first value, and then find nothing better.
        if value is not None and not math.isnan(value):
            super().on_epoch_end(epoch, logs)


class LastCheckpoint(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Saves `last`, and commits what it and the callbacks before it have requested."""

    def __init__(self, collector: CheckpointCollector, *, each_batch: bool) -> None:
        """Create the callback; `each_batch`: whether a callback saves within epochs."""
        super().__init__()
        self._collector = collector
        self._epoch = 0
        # If no callback saves within epochs, Keras need not wait for every step.
        self.async_safe = not each_batch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.async_safe:
            self._collector.commit(Position(self._epoch, batch + 1), _as_floats(logs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._collector.request(LAST, "weights.h5")
        self._collector.commit(Position(epoch + 1), _as_floats(logs))


class SwapEMAWeights(keras.callbacks.SwapEMAWeights):  # type: ignore[misc] # Keras has no types
    """Keras's own, except that it does not replace the trained weights by their averages at the end of the last epoch.

    `finish` does that, after the snapshot of the epoch: an extended job continues with the trained weights.
    """

    def _finalize_ema_values(self) -> None:
        pass

    def finish(self) -> None:
        """Replace the weights by their averages, if the callback is to do so at the end of training."""
        if self.swap_on_epoch and self._ema_weights_in_model:
            super()._finalize_ema_values()


def make_scheduler(callback: KerasObject, model: keras.Model) -> keras.callbacks.LearningRateScheduler:
    """Return Keras's own scheduler, with the function that the job declares. The model must be compiled."""
    schedule = read_schedule(callback.config["schedule"])
    initial = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: float(schedule.rate_at(epoch, initial)), verbose=callback.config["verbose"]
    )


def _as_floats(logs: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (logs or {}).items()}
