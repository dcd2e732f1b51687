"""The callbacks of a training: the job's own, which are Keras's, and those that keep `best` and `last`.

When a checkpoint is due is for Keras's ModelCheckpoint to decide, with its own counters and its own words; where it
goes and how it is written is ours. So each one is given, in place of the model, something that has the model's two
methods for saving.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras

from fitqueue.reports import Position
from fitqueue.spec import KerasObject
from fitqueue.spec.filepath import MAX_RENDERED
from fitqueue.spec.keras_objects.schedules import read_schedule
from workers.trainer.checkpoints import (
    BEST,
    LAST,
    CheckpointFiles,
    Format,
    SnapshotRequest,
    Writer,
    WriteRequest,
)
from workers.trainer.snapshot import Snapshot


class CheckpointCollector:
    """Collects what the callbacks want saved of one moment, and has each distinct file written once."""

    def __init__(self, model: keras.Model, make_writer: Callable[[], Writer], files: CheckpointFiles) -> None:
        self._model = model
        self._make_writer = make_writer
        self._files = files
        self._writer: Writer | None = None
        self._wanted: dict[tuple[Format, bool], list[str]] = {}
        self._last_weights: list[Any] | None = None

    def want(self, name: str, format: Format, *, with_optimizer: bool = False) -> None:
        names = self._wanted.setdefault((format, with_optimizer), [])
        if name not in names:
            names.append(name)

    def commit(self, position: Position, logs: Mapping[str, float]) -> None:
        """Raises CheckpointFailed."""
        wanted, self._wanted = self._wanted, {}
        plain = {format: names for (format, with_optimizer), names in wanted.items() if not with_optimizer}
        if plain:
            self._last_weights = self._model.get_weights()
        for format, names in plain.items():
            assert self._last_weights is not None
            self.writer.order(WriteRequest(position, logs, format, names, self._last_weights))
        for (format, with_optimizer), names in wanted.items():
            if with_optimizer:
                # The optimizer is part of the model in training, of which there is one: Keras writes it, at once.
                save = self._model.save if format == "keras" else self._model.save_weights
                self._files.write(position, logs, format, names, save)

    def commit_last(self, position: Position, logs: Mapping[str, float]) -> None:
        """Save the model as it is now as `last`, unless that is what was saved last.

        It differs where the training was left within an epoch, and where EarlyStopping went back to the best weights.
        """
        now = self._model.get_weights()
        if self._last_weights is None or any((a != b).any() for a, b in zip(now, self._last_weights, strict=True)):
            self.want(LAST, "weights.h5")
            self.commit(position, logs)

    def keep_snapshot(self, snapshot: Snapshot, *, can_wait: bool) -> None:
        """Raises CheckpointFailed."""
        self.writer.order(SnapshotRequest(snapshot, can_wait))

    def close(self) -> None:
        """Raises CheckpointFailed."""
        if self._writer is not None:
            self._writer.close()

    @property
    def writer(self) -> Writer:
        # Made when it is first needed: building the twin would delay the first step.
        if self._writer is None:
            self._writer = self._make_writer()
        return self._writer


class CheckpointModel:
    """What a ModelCheckpoint sees as the model. The `filepath` it gives is a name, and no file is opened under it."""

    def __init__(
        self, model: keras.Model, keeper: CheckpointCollector, *, name: str | None = None, with_optimizer: bool
    ) -> None:
        self._model = model
        self._keeper = keeper
        self._name = name
        self._with_optimizer = with_optimizer

    @property
    def metrics(self) -> Any:
        return self._model.metrics

    def save_weights(self, filepath: str, overwrite: bool = True) -> None:  # noqa: ARG002 -- names always point anew
        self._keeper.want(self._name or _bounded(filepath), "weights.h5", with_optimizer=self._with_optimizer)

    def save(self, filepath: str, overwrite: bool = True) -> None:  # noqa: ARG002 -- see above
        self._keeper.want(self._name or _bounded(filepath), "keras", with_optimizer=self._with_optimizer)


def _bounded(name: str) -> str:
    """A name of a checkpoint as it can be stored. A huge value in a format like `.3f` has three hundred digits."""
    return name if len(name) <= MAX_RENDERED else f"{name[: MAX_RENDERED - 41]}…{name[-40:]}"


class ModelCheckpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc] # Keras has no types
    """Keras's own, with two arguments more.

    Args:
        filepath: a str.format string of known fields only (`Template.keras_format`).
        period: save, or look whether to save, at the end of every n-th epoch, as Keras 2 had it.
        include_optimizer: with the optimizer's slots, for going on elsewhere.
    """

    def __init__(
        self,
        filepath: str,
        *,
        keeper: CheckpointCollector,
        period: int = 1,
        include_optimizer: bool = False,
        **arguments: Any,
    ) -> None:
        super().__init__(filepath, **arguments)
        self._keeper = keeper
        self._period = period
        self._include_optimizer = include_optimizer
        self._epochs_since_saved = 0
        # Keras waits for each step's numbers if a callback looks at the batches; this one does only with `save_freq`.
        self.async_safe = self.save_freq == "epoch"

    def set_model(self, model: keras.Model) -> None:
        super().set_model(CheckpointModel(model, self._keeper, with_optimizer=self._include_optimizer))

    def _set_monitor_op(self) -> None:
        # Keras asks for the direction of the monitor, and fails if it knows none, even where all epochs are saved.
        if self.save_best_only:
            super()._set_monitor_op()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            return
        if self.monitor_op is None:
            # Keras itself sets it at the end of an epoch only, and fails if the second best comes before that.
            self._set_monitor_op()
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epochs_since_saved += 1
        if self._epochs_since_saved >= self._period:
            self._epochs_since_saved = 0
            super().on_epoch_end(epoch, logs)


class BestCheckpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc] # Keras has no types
    """Keeps `best`: what is better is decided by Keras."""

    async_safe = True

    def __init__(self, keeper: CheckpointCollector, monitor: str, mode: str) -> None:
        super().__init__("best.weights.h5", monitor=monitor, mode=mode, save_best_only=True, save_weights_only=True)
        self._keeper = keeper

    def set_model(self, model: keras.Model) -> None:
        super().set_model(CheckpointModel(model, self._keeper, name=BEST, with_optimizer=False))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = (logs or {}).get(self.monitor)
        # To Keras NaN is as good a first value as any, and nothing is ever better than it.
        if value is not None and not math.isnan(value):
            super().on_epoch_end(epoch, logs)


class LastCheckpoint(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Keeps `last`, and commits what this and the callbacks before it want saved."""

    def __init__(self, keeper: CheckpointCollector, *, each_batch: bool) -> None:
        super().__init__()
        self._keeper = keeper
        self._epoch = 0
        # Only a ModelCheckpoint with `save_freq` wants anything within an epoch, and then Keras dispatches in order.
        self.async_safe = not each_batch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.async_safe:
            self._keeper.commit(Position(self._epoch - 1, batch + 1), _numbers(logs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._keeper.want(LAST, "weights.h5")
        self._keeper.commit(Position(epoch + 1), _numbers(logs))


class SwapEMAWeights(keras.callbacks.SwapEMAWeights):  # type: ignore[misc] # Keras has no types
    """As Keras's, which at the end of the last epoch overwrites the trained weights with the averages.

    Here that is left to `finish`, to be called when the snapshot was taken: an extended job goes on from the weights.
    """

    def _finalize_ema_values(self) -> None:
        pass

    def finish(self) -> None:
        if self.swap_on_epoch and self._ema_weights_in_model:
            super()._finalize_ema_values()


def scheduler(callback: KerasObject, model: keras.Model) -> keras.callbacks.LearningRateScheduler:
    """Keras's own, with the function that the job declares. The compiled model has the rate to start with."""
    schedule = read_schedule(callback.config["schedule"])
    initial = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: float(schedule.rate_at(epoch, initial)), verbose=callback.config["verbose"]
    )


def _numbers(logs: dict[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (logs or {}).items()}
