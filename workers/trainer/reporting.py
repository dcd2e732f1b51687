"""What the child says while it trains: progress at most twice a second, and each epoch as it ends."""

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

PROGRESS_SECONDS: Final = 0.5

Emit = Callable[[Message], None]


class Reporter:
    """The child's end of the event pipe. Thread-safe: checkpoints are announced by the thread that writes them."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = Lock()

    def emit(self, message: Message) -> None:
        rest = encode(message)
        with self._lock:
            while rest:
                rest = rest[os.write(self._pipe.fileno(), rest) :]


class Reporting(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Reports on the training and leaves it when the worker asks. It stands last, so that it sees what the others did.

    Everything within an epoch happens where a batch begins, not where one ends: Keras calls that in the training
    thread itself, and a callback that looks at the ends makes Keras wait for each step's numbers.
    """

    def __init__(
        self, emit: Emit, control: Control, *, scheduled: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`scheduled`: the learning rate follows a schedule of the optimizer's, and no callback changes it."""
        super().__init__()
        self.epoch = 0
        """The epoch that is trained, 1-based."""
        self.step = 0
        """Steps done in it."""
        self.logs: dict[str, float] = {}
        """What the last whole epoch logged."""
        self.ended = False
        """Whether Keras came to the end of `fit`."""
        self._epoch_ended = False
        self._emit = emit
        self._control = control
        self._scheduled = scheduled
        self._clock = clock
        self._epoch_began = 0.0
        self._last_progress = -PROGRESS_SECONDS
        self._learning_rate = 0.0

    @property
    def position(self) -> Position:
        """Where the training stands."""
        if self.step > 0:
            return Position(self.epoch) if self._epoch_ended else Position(self.epoch - 1, self.step)
        return Position(max(self.epoch - 1, 0))

    @property
    def logged(self) -> dict[str, float]:
        """What the epoch at whose end the training stands logged; within an epoch nothing is logged yet."""
        return {} if self.position.step else self.logs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 -- Keras's call
        self._control.check()
        self.epoch, self.step, self._epoch_ended = epoch + 1, 0, False
        # Read here and not at the end, where ReduceLROnPlateau has set the next epoch's rate already.
        self._learning_rate = self._read_learning_rate()
        self._epoch_began = self._clock()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._control.check()
        self.step = batch
        if batch > 0:
            self._report_progress()

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._control.check()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.step = self.params["steps"]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.step, self._epoch_ended = self.params["steps"], True
        self.logs = {name: float(value) for name, value in (logs or {}).items()}
        self._give_up_on(self.logs.get("loss", 0.0))
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

    def _report_progress(self) -> None:
        now = self._clock()
        if now - self._last_progress >= PROGRESS_SECONDS:
            self._last_progress = now
            # Now and then only: each look waits for the step that is computed.
            self._give_up_on(float(keras.ops.convert_to_numpy(self.model._loss_tracker.result())))
            self._emit(Progress(position=Position(self.epoch - 1, self.step), steps=self.params["steps"]))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self.ended = True

    def _give_up_on(self, loss: float) -> None:
        """A loss that is not finite spoils the weights for good: what follows would be trained for nothing."""
        if not math.isfinite(loss):
            self.model.stop_training = True

    def _read_learning_rate(self) -> float:
        # Not float(): under a distribution strategy the rate is one variable on each replica.
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
