"""Taking snapshots when they are due, and resuming Keras's `fit` from one, within an epoch if need be."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
from keras.src.backend.tensorflow import trainer

from fitqueue.reports import Position
from workers.trainer.callbacks import SwapEMAWeights
from workers.trainer.snapshot import Snapshot, TrainingState

Executions = Iterator[tuple[int, int, Any]]
"""For each execution of steps: its first step, its last step, and the iterator that the batches come from."""


class Snapshots(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Takes snapshots, and restores the one to resume from. It comes last, after the callbacks whose state it takes.

    Within an epoch it takes them where a batch begins: Keras calls that in the training thread itself, once the batch
    before is complete.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        read_files: Callable[[], dict[str, bytes]],
        submit: Callable[[Snapshot], None],
        *,
        epochs: int,
        seconds: float,
        fingerprint: Mapping[str, str],
        restored: Snapshot | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the callback.

        Args:
            callbacks: the callbacks before it.
            read_files: returns what the callbacks have written so far.
            submit: has a snapshot written.
            epochs: how many epochs the job has in all.
            seconds: how long an epoch may train without a snapshot.
            fingerprint: what the numbers depend on apart from the job.
            restored: the snapshot to resume from.
        """
        super().__init__()
        self._callbacks = callbacks
        self._read_files = read_files
        self._submit = submit
        self._epochs = epochs
        self._seconds = seconds
        self._fingerprint = fingerprint
        self._restored = restored
        self._clock = clock
        self._taken_at = clock()
        self._epoch = 0
        self._position_after_batch: Position | None = None
        """The position when the current batch is complete; None where no snapshot can be taken."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 -- Keras passes it
        if self._restored is not None:
            TrainingState(self.model, self._callbacks).restore(self._restored)
            self._finish_averages(self._restored.position)
            if self._restored.position.step == 0:
                self._restored = None
        self._taken_at = self._clock()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._epoch, self._position_after_batch = epoch, None
        if self._restored is not None:
            TrainingState(self.model, self._callbacks).restore_epoch(self._restored)
            self._restored = None  # frees its arrays

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        if batch > 0 and self._clock() - self._taken_at >= self._seconds:
            self._take(Position(self._epoch, batch))
        self._position_after_batch = Position(self._epoch, batch + self.model.steps_per_execution)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._position_after_batch = None  # validation overwrites the sums in the metrics

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._take(Position(epoch + 1))
        self._finish_averages(Position(epoch + 1))
        self._position_after_batch = None

    def take_last(self) -> None:
        """Take a snapshot of a training that was stopped between two batches."""
        if self._position_after_batch is not None:
            self._take(self._position_after_batch)

    def _take(self, position: Position) -> None:
        state = TrainingState(self.model, self._callbacks)
        self._submit(state.capture(position, self._read_files(), self._fingerprint))
        self._taken_at = self._clock()

    def _finish_averages(self, position: Position) -> None:
        """After the last epoch, swap in the averaged weights. Keras's own callback would do so before the snapshot."""
        for callback in self._callbacks:
            if isinstance(callback, SwapEMAWeights) and position == Position(self._epochs):
                callback.finish()


def resume_at(position: Position, model: keras.Model) -> None:
    """Make the next `fit` begin at this position in its first epoch and in its data, with all variables created.

    Keras itself makes the batches of `fit`, in an order that is the same for each pass over the data. The batches
    before the position are drawn again and dropped.
    """
    if model.distribute_strategy.num_replicas_in_sync == 1:
        # Keras would create the variables of optimizer and metrics in the first step, too late to restore them.
        model._maybe_symbolic_build = model._symbolic_build
    original: Any = trainer.TFEpochIterator

    class ResumedEpochIterator(original):  # type: ignore[misc] # Keras has no types
        _has_begun = False

        def reset(self) -> None:
            super().reset()
            self._has_begun = False  # a batch was drawn to create the variables, which is not trained

        def _enumerate_iterator(self) -> Executions:
            is_first, self._has_begun = not self._has_begun, True
            return self._first_epoch() if is_first else super()._enumerate_iterator()

        def _first_epoch(self) -> Executions:
            """Do the same as Keras's own method, except that it begins at the position."""
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

    def make_iterator(*args: Any, **kwargs: Any) -> Any:
        # Only the first iterator that `fit` makes is for training; the one for validation starts at the beginning.
        trainer.TFEpochIterator = original
        return ResumedEpochIterator(*args, **kwargs)

    trainer.TFEpochIterator = make_iterator


def drawn_batches(position: Position, batches: int, steps_per_epoch: int | None, steps_per_execution: int) -> int:
    """Return how many batches have been drawn since the current pass over the data began.

    With `steps_per_epoch`, an epoch continues in the data where the one before has ended, and ends early with the data.

    Args:
        batches: the number of batches in a pass, of which the last one may be smaller.
    """
    if steps_per_epoch is None:
        return position.step
    drawn = 0
    for _ in range(position.epoch):
        executions = min(-(-steps_per_epoch // steps_per_execution), -(-(batches - drawn) // steps_per_execution))
        drawn += executions * steps_per_execution
        drawn = 0 if drawn >= batches else drawn
    return drawn + position.step
