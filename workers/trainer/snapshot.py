"""Snapshots: all that a training needs to go on in another process as if nothing had happened.

Keras's own BackupAndRestore keeps weights, the optimizer and the epoch; callbacks start over with forgotten counters,
and random generators from their seeds. What else counts was found by comparing resumed trainings with undisturbed ones,
bit by bit: every variable of the model, of its optimizer, of its metrics and of its random generators, of each replica
its own; what the callbacks count; and the place in the data.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import keras
import numpy as np
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator

from fitqueue.reports import Position
from workers.keras_tools.npz import Array

# What a callback of each class counts, by the names of its attributes. All else it has from its arguments.
_COUNTED: Final[Mapping[str, tuple[str, ...]]] = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "cooldown_counter", "best"),
    "ModelCheckpoint": ("best", "_batches_seen_since_last_saving", "_last_batch_seen", "_epochs_since_saved"),
    "SwapEMAWeights": ("_ema_weights_in_model",),
    "Reporting": ("epoch", "step", "logs", "_epoch_ended", "_learning_rate"),
}


class SnapshotMismatch(Exception):
    """The snapshot is not of this job, or not whole."""


@dataclass(frozen=True)
class Snapshot:
    """A copy of a training's state. `fingerprint` tells what its numbers depend on beside the job."""

    position: Position
    stop_training: bool
    arrays: list[Array]
    """Of the variables, then of the weights that callbacks keep."""
    counts: list[dict[str, Any]]
    """Of each callback: its class, what it counts, and how many arrays it keeps."""
    files: dict[str, bytes]
    """What callbacks have written, by paths."""
    fingerprint: dict[str, str]


class State:
    """The state of one training, all whose variables are there: after a step, or when Keras has built them."""

    def __init__(self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self._model = model
        self._callbacks = callbacks
        self._variables = _variables(model)

    def take(self, position: Position, files: dict[str, bytes], fingerprint: Mapping[str, str]) -> Snapshot:
        """To be called between two batches; it takes as long as a copy of the weights and of the optimizer's slots."""
        return Snapshot(
            position=position,
            stop_training=bool(self._model.stop_training),
            arrays=[_copy(one) for one in self._variables] + [kept for one in self._callbacks for kept in _kept(one)],
            counts=[_counts(one) for one in self._callbacks],
            files=files,
            fingerprint=dict(fingerprint),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Raises SnapshotUnfit if it is of another model or of other callbacks."""
        arrays = iter(snapshot.arrays)
        _assign(self._variables, list(islice(arrays, len(self._variables))))
        if [counts["class_name"] for counts in snapshot.counts] != [type(one).__name__ for one in self._callbacks]:
            raise SnapshotMismatch("The snapshot is of a job with other callbacks.")
        self._restore_counts(snapshot)
        for callback, counts in zip(self._callbacks, snapshot.counts, strict=True):
            if counts["kept"]:
                callback.best_weights = list(islice(arrays, counts["kept"]))
        self._model.stop_training = snapshot.stop_training

    def restore_epoch(self, snapshot: Snapshot) -> None:
        """What Keras resets where an epoch begins, what the metrics had added up above all: to be called after that."""
        self._restore_counts(snapshot)
        ours = {id(part) for variable in self._model.metrics_variables for part in _parts(variable)}
        pairs = zip(self._variables, snapshot.arrays, strict=False)
        wanted = [(variable, array) for variable, array in pairs if id(variable) in ours]
        _assign([variable for variable, _ in wanted], [array for _, array in wanted])

    def _restore_counts(self, snapshot: Snapshot) -> None:
        for callback, counts in zip(self._callbacks, snapshot.counts, strict=True):
            for name, value in counts["counts"].items():
                setattr(callback, name, value)


def without_end(snapshot: Snapshot) -> Snapshot:
    """The same, for a training that goes on though a callback had ended it: that callback has its patience again."""
    counts = [
        {**each, "counts": {**each["counts"], "wait": 0, "stopped_epoch": 0}}
        if snapshot.stop_training and each["class_name"] == "EarlyStopping"
        else each
        for each in snapshot.counts
    ]
    return replace(snapshot, stop_training=False, counts=counts)


def write(snapshot: Snapshot, path: Path) -> None:
    about = {
        "position": asdict(snapshot.position),
        "stop_training": snapshot.stop_training,
        "counts": snapshot.counts,
        "fingerprint": snapshot.fingerprint,
        "dtypes": [array.dtype.name for array in snapshot.arrays],
        "files": list(snapshot.files),
    }
    arrays: dict[str, Any] = {f"array_{i}": _plain(array) for i, array in enumerate(snapshot.arrays)}
    for i, content in enumerate(snapshot.files.values()):
        arrays[f"file_{i}"] = np.frombuffer(content, np.uint8)
    with path.open("wb") as file:
        np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)


def read(path: Path) -> Snapshot:
    """Raises SnapshotUnfit if the file is not whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            stored = (file[f"array_{i}"] for i in range(len(about["dtypes"])))
            arrays = [array.view(dtype) for array, dtype in zip(stored, about["dtypes"], strict=True)]
            files = {name: file[f"file_{i}"].tobytes() for i, name in enumerate(about["files"])}
    except (OSError, KeyError, ValueError, TypeError, BadZipFile) as error:
        raise SnapshotMismatch(f"The snapshot cannot be read: {error}") from error
    return Snapshot(
        position=Position(**about["position"]),
        stop_training=about["stop_training"],
        arrays=arrays,
        counts=about["counts"],
        files=files,
        fingerprint=about["fingerprint"],
    )


# --- Variables -----------------------------------------------------------------------------------------------------


def _variables(model: keras.Model) -> list[tf.Variable]:
    """All that changes in a training, each once and in a fixed order: their names differ between two processes."""
    states = (keras.tree.flatten(getattr(layer, "states", None)) for layer in model._flatten_layers())
    every = [
        *model.variables,
        *(state for some in states for state in some if isinstance(state, keras.Variable)),
        *model.optimizer.variables,
        *model.metrics_variables,
        global_seed_generator().state,
    ]
    parts = (part for variable in every for part in _parts(variable))
    return list({id(part): part for part in parts}.values())


def _parts(variable: keras.Variable) -> Sequence[tf.Variable]:
    """The variable, or what each replica has of it: statistics of a BatchNormalization differ among replicas."""
    value = variable._value
    return value.values if isinstance(value, tf.distribute.DistributedValues) else (value,)


def _copy(variable: tf.Variable) -> Array:
    # On a CPU `numpy()` may show the memory that the next step writes to.
    return np.array(variable.numpy())


def _assign(variables: Sequence[tf.Variable], arrays: Sequence[Array]) -> None:
    wanted = [(tuple(variable.shape), variable.dtype.name) for variable in variables]
    found = [(array.shape, array.dtype.name) for array in arrays]
    if found != wanted:
        raise SnapshotMismatch("The snapshot is of another model or optimizer.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


# NumPy's own format has no name for the types that ml_dtypes adds: their bits are kept as whole numbers.
def _plain(array: Array) -> Array:
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "V" else array


# --- Callbacks -----------------------------------------------------------------------------------------------------


def _counts(callback: keras.callbacks.Callback) -> dict[str, Any]:
    names = [name for cls in type(callback).__mro__ for name in _COUNTED.get(cls.__name__, ())]
    counts = {name: _number(getattr(callback, name)) for name in names if hasattr(callback, name)}
    return {"class_name": type(callback).__name__, "counts": counts, "kept": len(_kept(callback))}


def _kept(callback: keras.callbacks.Callback) -> list[Array]:
    """The best weights that an EarlyStopping keeps, to go back to them."""
    return getattr(callback, "best_weights", None) or []


def _number(value: Any) -> Any:
    """NumPy's numbers as Python's: JSON keeps those to the last bit."""
    return value.item() if isinstance(value, np.generic) else value
