"""Snapshots: everything that a training needs to continue in another process as if nothing had happened.

Keras's own BackupAndRestore keeps weights, the optimizer and the epoch, but callbacks lose their counters, and random
generators start again from their seeds. We found what else matters by comparing resumed trainings with uninterrupted
ones bit by bit: every variable of the model, its optimizer, its metrics and its random generators, for each replica;
the counters of the callbacks; and the position in the data.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator

from fitqueue.reports import Position
from workers.keras_tools.adapting import Learned
from workers.keras_tools.npz import UNREADABLE, Array
from workers.shared.outages import is_disk_outage

# The attributes that a callback of each class changes while it runs. All others follow from its arguments.
_STATE_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "cooldown_counter", "best"),
    "ModelCheckpoint": ("best", "_batches_seen_since_last_saving", "_last_batch_seen", "_epochs_since_saved"),
    "SwapEMAWeights": ("_ema_weights_in_model",),
    "Reporting": ("epoch", "step", "logs", "_epoch_ended", "_learning_rate"),
}


class SnapshotMismatch(Exception):
    """The snapshot belongs to another job, or is damaged."""


class SnapshotOutOfReach(Exception):
    """The disk of the snapshot failed or went away, or a file that the worker had just read back is empty now.

    The next attempt finds out whether the snapshot can still be used.
    """


@dataclass(frozen=True)
class CallbackState:
    """The state of one callback.

    Attributes:
        attributes: those that change while it runs.
        arrays: how many arrays of weights it holds.
    """

    class_name: str
    attributes: dict[str, Any]
    arrays: int


@dataclass(frozen=True)
class Snapshot:
    """A copy of a training's state.

    Attributes:
        arrays: the values of all variables, then the weights that callbacks hold.
        files: what callbacks have written, by paths.
        fingerprint: what the numbers depend on apart from the job.
        learned: what the layers with `adapt` have learned.
    """

    position: Position
    stop_training: bool
    arrays: list[Array]
    callbacks: list[CallbackState]
    files: dict[str, bytes]
    fingerprint: dict[str, str]
    learned: Learned = field(default_factory=dict)


class TrainingState:
    """The state of a training. All variables must exist: after a step, or when Keras has built them."""

    def __init__(self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self._model = model
        self._callbacks = callbacks
        self._variables = _all_variables(model)

    def capture(self, position: Position, files: dict[str, bytes], fingerprint: Mapping[str, str]) -> Snapshot:
        """Return a copy of the state, which takes as long as copying weights and optimizer. Call it between batches."""
        held = [weights for callback in self._callbacks for weights in _held_weights(callback)]
        return Snapshot(
            position=position,
            stop_training=bool(self._model.stop_training),
            arrays=[_copy(variable) for variable in self._variables] + held,
            callbacks=[_callback_state(callback) for callback in self._callbacks],
            files=files,
            fingerprint=dict(fingerprint),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Put the training into the state of a snapshot.

        Raises:
            SnapshotMismatch: the snapshot is of another model, optimizer or list of callbacks.
        """
        arrays = iter(snapshot.arrays)
        _assign(self._variables, list(islice(arrays, len(self._variables))))
        class_names = [type(callback).__name__ for callback in self._callbacks]
        if [state.class_name for state in snapshot.callbacks] != class_names:
            raise SnapshotMismatch("The snapshot is of a job with other callbacks.")
        self._restore_attributes(snapshot)
        self._restore_held_weights(snapshot, arrays)
        self._model.stop_training = snapshot.stop_training

    def restore_epoch(self, snapshot: Snapshot) -> None:
        """Restore once more what Keras resets at the beginning of an epoch, above all the sums in the metrics."""
        self._restore_attributes(snapshot)
        metrics = {id(value) for variable in self._model.metrics_variables for value in _per_replica(variable)}
        pairs = zip(self._variables, snapshot.arrays, strict=False)
        reset = [(variable, array) for variable, array in pairs if id(variable) in metrics]
        _assign([variable for variable, _ in reset], [array for _, array in reset])

    def _restore_attributes(self, snapshot: Snapshot) -> None:
        for callback, state in zip(self._callbacks, snapshot.callbacks, strict=True):
            for name, value in state.attributes.items():
                setattr(callback, name, value)

    def _restore_held_weights(self, snapshot: Snapshot, arrays: Iterator[Array]) -> None:
        for callback, state in zip(self._callbacks, snapshot.callbacks, strict=True):
            if state.arrays:
                callback.best_weights = list(islice(arrays, state.arrays))


def for_extension(snapshot: Snapshot) -> Snapshot:
    """Return the last snapshot of a job for training more epochs: what stopped the job no longer applies.

    An EarlyStopping that stopped it starts to count its patience again.
    """
    callbacks = [
        replace(state, attributes={**state.attributes, "wait": 0, "stopped_epoch": 0})
        if snapshot.stop_training and state.class_name == "EarlyStopping"
        else state
        for state in snapshot.callbacks
    ]
    return replace(snapshot, stop_training=False, callbacks=callbacks)


# --- Files ---------------------------------------------------------------------------------------------------------


def write_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write a snapshot as an .npz file: a JSON document in `about`, then the arrays and the files of callbacks."""
    about = {
        "position": asdict(snapshot.position),
        "stop_training": snapshot.stop_training,
        "callbacks": [asdict(state) for state in snapshot.callbacks],
        "fingerprint": snapshot.fingerprint,
        "learned": snapshot.learned,
        "dtypes": [array.dtype.name for array in snapshot.arrays],
        "files": list(snapshot.files),
    }
    arrays: dict[str, Any] = {f"array_{i}": _storable(array) for i, array in enumerate(snapshot.arrays)}
    for i, content in enumerate(snapshot.files.values()):
        arrays[f"file_{i}"] = np.frombuffer(content, np.uint8)
    with path.open("wb") as file:
        np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)


def read_snapshot(path: Path) -> Snapshot:
    """Return the snapshot in a file.

    Raises:
        SnapshotMismatch: the file is damaged or incomplete.
        SnapshotOutOfReach: it cannot be read now.
    """
    with _open_snapshot(path) as (file, about):
        stored = (file[f"array_{i}"] for i in range(len(about["dtypes"])))
        arrays = [array.view(dtype) for array, dtype in zip(stored, about["dtypes"], strict=True)]
        files = {name: file[f"file_{i}"].tobytes() for i, name in enumerate(about["files"])}
        return Snapshot(
            position=Position(**about["position"]),
            stop_training=about["stop_training"],
            arrays=arrays,
            callbacks=[CallbackState(**state) for state in about["callbacks"]],
            files=files,
            fingerprint=about["fingerprint"],
            learned=about.get("learned", {}),
        )


def read_learned(path: Path) -> Learned:
    """Return what the layers with `adapt` had learned when the snapshot in a file was taken.

    Raises:
        SnapshotMismatch: the file is damaged.
        SnapshotOutOfReach: it cannot be read now.
    """
    with _open_snapshot(path) as (_, about):
        learned: Learned = about.get("learned", {})
        return learned


@contextmanager
def _open_snapshot(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a file, and yield it with its JSON document.

    The worker has just read it back, but from here on anything may happen to it.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file, json.loads(file["about"].tobytes())
    except (*UNREADABLE, KeyError, TypeError) as error:
        is_out_of_reach = isinstance(error, FileNotFoundError | EOFError) or is_disk_outage(error)
        kind = SnapshotOutOfReach if is_out_of_reach else SnapshotMismatch
        raise kind(f"The snapshot cannot be read: {error}") from error


def _storable(array: Array) -> Array:
    """Return the array, with the bits of its values as integers if NumPy's format has no name for its dtype."""
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "V" else array


# --- Variables -----------------------------------------------------------------------------------------------------


def _all_variables(model: keras.Model) -> list[tf.Variable]:
    """Return everything that changes in a training, each variable once.

    They are in a fixed order, because their names differ from process to process.
    """
    recurrent_states = (
        state
        for layer in model._flatten_layers()
        for state in keras.tree.flatten(getattr(layer, "states", None))
        if isinstance(state, keras.Variable)
    )
    variables = [
        *model.variables,
        *recurrent_states,
        *model.optimizer.variables,
        *model.metrics_variables,
        global_seed_generator().state,
    ]
    values = (value for variable in variables for value in _per_replica(variable))
    return list({id(value): value for value in values}.values())


def _per_replica(variable: keras.Variable) -> Sequence[tf.Variable]:
    """Return the variable of each replica: the statistics of a BatchNormalization, for example, differ."""
    value = variable._value
    return value.values if isinstance(value, tf.distribute.DistributedValues) else (value,)


def _copy(variable: tf.Variable) -> Array:
    # On a CPU, `numpy()` may return the memory that the next step writes to.
    return np.array(variable.numpy())


def _assign(variables: Sequence[tf.Variable], arrays: Sequence[Array]) -> None:
    expected = [(tuple(variable.shape), variable.dtype.name) for variable in variables]
    if [(array.shape, array.dtype.name) for array in arrays] != expected:
        raise SnapshotMismatch("The snapshot is of another model or optimizer.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


# --- Callbacks -----------------------------------------------------------------------------------------------------


def _callback_state(callback: keras.callbacks.Callback) -> CallbackState:
    names = [name for cls in type(callback).__mro__ for name in _STATE_ATTRIBUTES.get(cls.__name__, ())]
    attributes = {name: _as_python(getattr(callback, name)) for name in names if hasattr(callback, name)}
    return CallbackState(type(callback).__name__, attributes, len(_held_weights(callback)))


def _held_weights(callback: keras.callbacks.Callback) -> list[Array]:
    """Return the best weights, which an EarlyStopping holds to restore them."""
    return getattr(callback, "best_weights", None) or []


def _as_python(value: Any) -> Any:
    """Return NumPy's numbers as Python's, which JSON keeps to the last bit."""
    return value.item() if isinstance(value, np.generic) else value
