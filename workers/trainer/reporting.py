"""What the child reports while it trains: each epoch when it ends, and progress at most twice a second."""

import math
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any, Final

import keras

from fitqueue.reports import EpochEnded, Message, Position
from workers.shared.protocol import Progress, encode
from workers.trainer.control import Control
from workers.trainer.running_metrics import RunningMetrics

PROGRESS_SECONDS: Final = 0.5

POINT_SECONDS: Final = 5.0
"""Seconds between two points of the series within an epoch. A shorter epoch has none: its row says enough."""

Emit = Callable[[Message], None]


class Reporter:
    """The child's end of the report pipe. Thread-safe: another thread reports the checkpoints that it has written."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = Lock()

    def emit(self, message: Message) -> None:
        """Send a message. Blocks while the pipe is full."""
        unsent = encode(message)
        with self._lock:
            while unsent:
                unsent = unsent[os.write(self._pipe.fileno(), unsent) :]


class Reporting(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Reports the training, and stops it when the worker asks. It comes after the job's own callbacks.

    Within an epoch it acts only where a batch begins. Keras calls that in the training thread itself, whereas a
    callback for the end of a batch makes Keras wait for the numbers of every step.
    """

    def __init__(
        self, emit: Emit, control: Control, *, scheduled: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create the callback.

        Args:
            scheduled: whether the learning rate follows a schedule of the optimizer, so that no callback changes it.
        """
        super().__init__()
        self.epoch = 0
        """The current epoch, counted from 1; 0 before the first."""
        self.step = 0
        """The steps done in the current epoch."""
        self.logs: dict[str, float] = {}
        """What the last complete epoch logged."""
        self.fit_is_complete = False
        """Whether Keras has reached the end of `fit`."""
        self._epoch_ended = False
        self._emit = emit
        self._control = control
        self._scheduled = scheduled
        self._clock = clock
        self._epoch_began = 0.0
        self._progress_reported_at = -PROGRESS_SECONDS
        self._point_reported_at = -POINT_SECONDS
        self._running_metrics = RunningMetrics(clock)
        self._learning_rate = 0.0

    @property
    def position(self) -> Position:
        """How far the training has come."""
        if self.step > 0:
            return Position(self.epoch) if self._epoch_ended else Position(self.epoch - 1, self.step)
        return Position(max(self.epoch - 1, 0))

    @property
    def logs_at_position(self) -> dict[str, float]:
        """What the last epoch logged; empty within an epoch, because nothing is logged there yet."""
        return {} if self.position.step else self.logs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 -- Keras passes it
        self._control.check()
        self.epoch, self.step, self._epoch_ended = epoch + 1, 0, False
        # At the end of the epoch, ReduceLROnPlateau may already have set the rate of the next one.
        self._learning_rate = self._read_learning_rate()
        self._epoch_began = self._clock()
        self._running_metrics.begin_epoch()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._control.check()
        self.step = batch
        if batch > 0:
            self._report_progress()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.step = self.params["steps"]

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._control.check()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.step, self._epoch_ended = self.params["steps"], True
        self.logs = {name: float(value) for name, value in (logs or {}).items()}
        self._stop_unless_finite(self.logs.get("loss", 0.0))
        self._emit(
            EpochEnded(
                epoch=epoch + 1,
                logs=self.logs,
                learning_rate=self._learning_rate,
                next_learning_rate=self._learning_rate if self._scheduled else self._read_learning_rate(),
                seconds=self._clock() - self._epoch_began,
                steps=self.step,
            )
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.fit_is_complete = True

    def _report_progress(self) -> None:
        now = self._clock()
        if now - self._progress_reported_at >= PROGRESS_SECONDS:
            self._progress_reported_at = now
            # Reading the loss waits for the current step, so it must not happen at every step.
            loss = float(keras.ops.convert_to_numpy(self.model._loss_tracker.result()))
            self._stop_unless_finite(loss)
            metrics, is_complete = self._running_metrics.read(self.model, loss)
            self._emit(
                Progress(
                    position=Position(self.epoch - 1, self.step),
                    steps=self.params["steps"],
                    metrics=metrics,
                    is_point=is_complete and self._is_point_due(now),
                )
            )

    def _is_point_due(self, now: float) -> bool:
        """Return whether it is time for a point of the series, and take note that there is one."""
        is_due = now - max(self._epoch_began, self._point_reported_at) >= POINT_SECONDS
        if is_due:
            self._point_reported_at = now
        return is_due

    def _stop_unless_finite(self, loss: float) -> None:
        """Stop the training if the loss is NaN or infinite: the weights are spoiled, so further steps are useless."""
        if not math.isfinite(loss):
            self.model.stop_training = True

    def _read_learning_rate(self) -> float:
        # float() fails under a distribution strategy, where the rate is one variable on each replica.
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
