"""Collects what callbacks save at one position, so that each distinct file is written once, under all its names."""

from collections.abc import Callable, Mapping

import keras
import numpy as np

from fitqueue.reports import Position
from fitqueue.weights import LAST_WITH_OPTIMIZER
from workers.keras_tools.npz import Array
from workers.keras_tools.training_state import copy_states
from workers.trainer.checkpoint_writer import CheckpointWriter, SnapshotRequest, WriteRequest
from workers.trainer.checkpoints import BEST, LAST, CheckpointFiles, Format, saving
from workers.trainer.snapshot import Snapshot


class CheckpointCollector:
    """Takes requests for checkpoints by name, and has the files written."""

    def __init__(self, model: keras.Model, make_writer: Callable[[], CheckpointWriter], files: CheckpointFiles) -> None:
        """Prepare to collect.

        Args:
            model: the model in training.
            make_writer: creates the writer when it is first needed: building its model would delay the first step.
        """
        self._model = model
        self._make_writer = make_writer
        self._files = files
        self._writer: CheckpointWriter | None = None
        self._names: dict[tuple[Format, bool], list[str]] = {}
        """The requested names, by format and whether the optimizer is included."""
        self._saved_weights: list[Array] | None = None
        """The weights that were saved last."""
        self._saved_states: list[Array] = []
        """The states that were saved with them."""
        self.nan_weights: str | None = None
        """The first variable that was not finite when it was saved; None if all have been."""

    def request(self, name: str, format: Format, *, with_optimizer: bool = False) -> None:
        """Request a checkpoint of the model as it is at the next `commit`."""
        names = self._names.setdefault((format, with_optimizer), [])
        if name not in names:
            names.append(name)

    def commit(self, position: Position, logs: Mapping[str, float]) -> None:
        """Have the requested checkpoints written. If weights are not finite, stop the training, and save no `best`.

        Raises:
            WriteFailed: one could not be written, or an earlier one.
        """
        requested, self._names = self._names, {}
        weights_only = {format: names for (format, with_optimizer), names in requested.items() if not with_optimizer}
        if weights_only:
            self._saved_weights, self._saved_states = self._model.get_weights(), copy_states(self._model)
            self._stop_unless_finite(self._saved_weights)
        if self.nan_weights is not None:
            weights_only = _without_best(weights_only)
        for format, names in weights_only.items():
            assert self._saved_weights is not None
            # Now, because it holds the learning rate of this moment.
            compile_config = self._model.get_compile_config() if format == "keras" else None
            self._ensure_writer().submit(
                WriteRequest(position, logs, format, names, self._saved_weights, compile_config, self._saved_states)
            )
        for (format, with_optimizer), names in requested.items():
            if with_optimizer:
                self._write_with_optimizer(position, logs, format, names)

    def commit_last(self, position: Position, logs: Mapping[str, float]) -> None:
        """Save the model as it is now as `last`, unless these weights were saved last.

        They differ if training stopped within an epoch, or if EarlyStopping has restored the best weights.

        Raises:
            WriteFailed: it could not be written, or an earlier one.
        """
        weights = self._model.get_weights()
        if self._saved_weights is None or _differ(weights, self._saved_weights):
            self.request(LAST, "weights.h5")
            self.commit(position, logs)

    def save_with_optimizer(self, position: Position, logs: Mapping[str, float]) -> None:
        """Save the model as it is now with its optimizer. Call it after `close`.

        Raises:
            WriteFailed: it could not be written.
        """
        self._write_with_optimizer(position, logs, "weights.h5", [LAST_WITH_OPTIMIZER])

    def submit_snapshot(self, snapshot: Snapshot, *, can_be_superseded: bool) -> None:
        """Have a snapshot written, unless its weights are not finite: training cannot resume from it.

        Raises:
            WriteFailed: an earlier file could not be written.
        """
        if self.nan_weights is None:
            self._ensure_writer().submit(SnapshotRequest(snapshot, can_be_superseded))

    def close(self) -> None:
        """Return when everything is written and reported.

        Raises:
            WriteFailed: something could not be written.
        """
        if self._writer is not None:
            self._writer.close()

    def _write_with_optimizer(
        self, position: Position, logs: Mapping[str, float], format: Format, names: list[str]
    ) -> None:
        """Write at once: only the model in training has the optimizer's variables, so training waits."""
        save = self._model.save if format == "keras" else saving(self._model, copy_states(self._model))
        self._files.write(position, logs, format, names, save, has_optimizer=True)

    def _stop_unless_finite(self, weights: list[Array]) -> None:
        spoiled = (i for i, array in enumerate(weights) if not np.isfinite(array).all())
        index = next(spoiled, None)
        if index is not None and self.nan_weights is None:
            self.nan_weights = self._model.weights[index].path
            self._model.stop_training = True

    def _ensure_writer(self) -> CheckpointWriter:
        if self._writer is None:
            self._writer = self._make_writer()
        return self._writer


def _without_best(names_by_format: Mapping[Format, list[str]]) -> dict[Format, list[str]]:
    others = {format: [name for name in names if name != BEST] for format, names in names_by_format.items()}
    return {format: names for format, names in others.items() if names}


def _differ(weights: list[Array], others: list[Array]) -> bool:
    return any((array != other).any() for array, other in zip(weights, others, strict=True))
