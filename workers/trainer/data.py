"""The arrays that a job trains on: read, prepared as the job asks, and in the types that Keras computes with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from fitqueue.datasets import BUILTIN, BuiltinDataset
from fitqueue.spec.data import (
    ArrayNames,
    DataSpec,
    PadSequences,
    PrepareStep,
    Steps,
    Validation,
    array_refs,
    single_or_by_name,
)
from workers.keras_tools.downloads import folder_of_datasets, one_at_a_time
from workers.keras_tools.npz import Array, DataError, read_npz

Arrays = Array | dict[str, Array] | list[Array]
"""An array, or one for each input (output) of a model: under its name, or in the model's order."""

_CHUNK_VALUES: Final = 4_000_000


@dataclass(frozen=True)
class Samples:
    """Inputs and targets, sample by sample, and how much each sample counts; without `weights` all count the same."""

    x: Arrays
    y: Arrays
    weights: Arrays | None = None

    def __len__(self) -> int:
        return len(keras.tree.flatten(self.x)[0])


@dataclass(frozen=True)
class Data:
    train: Samples
    validation: Samples | None


def load(spec: DataSpec, dataset_path: Path | None) -> Data:
    """The prepared arrays of a job.

    Args:
        dataset_path: the user's .npz on this machine; None where `spec.dataset` is a built-in name.

    Raises:
        DataError: it cannot be read, or does not fit the preparation.
    """
    arrays = _read(spec, dataset_path)
    train = _samples(spec, spec, arrays)
    return Data(train, _samples(spec.validation, spec, arrays) if spec.validation is not None else None)


def _samples(names: DataSpec | Validation, spec: DataSpec, arrays: Mapping[str, Array]) -> Samples:
    _check_lengths(names, arrays)
    return Samples(
        _prepared(names.x, spec.prepare.x, arrays, at="x"),
        _prepared(names.y, spec.prepare.y, arrays, at="y"),
        _prepared(names.sample_weight, [], arrays, at="sample_weight") if names.sample_weight is not None else None,
    )


def _prepared(names: ArrayNames, steps: Steps, arrays: Mapping[str, Array], at: str) -> Arrays:
    return single_or_by_name({ref.key: prepare(arrays[ref.array], ref.steps, at) for ref in array_refs(names, steps)})


def prepare(array: Array, steps: Iterable[PrepareStep], at: str) -> Array:
    """The array after each step in turn.

    Raises:
        DataError: a step does not fit the array.
    """
    for step in steps:
        try:
            array = STEPS[step.kind](array, getattr(step, step.kind))
        except (ValueError, TypeError, IndexError) as error:
            raise DataError(
                f"The step {step.kind!r} of data.prepare.{at} failed on an array of shape {array.shape} and type "
                f"{array.dtype}: {error}"
            ) from error
    return array


def _reshape(array: Array, shape: Sequence[int]) -> Array:
    return array.reshape((len(array), *shape))


def _one_hot(array: Array, classes: int) -> Array:
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 or high >= classes:
        raise ValueError(f"its labels go from {low} to {high}; one_hot takes 0 to {classes - 1}")
    return np.asarray(keras.utils.to_categorical(array, classes), dtype=keras.config.floatx())


def _pad_sequences(array: Array, arguments: PadSequences) -> Array:
    dtype = "int32" if arguments.value.is_integer() else "float32"
    return np.asarray(keras.utils.pad_sequences(array, dtype=dtype, **arguments.model_dump()))


def _computed(array: Array, operation: Callable[[Array], Array]) -> Array:
    """Computed in float64 and rounded once, as `x / 255` is in a plain script, without the script's float64 copy."""
    flat = array.reshape(-1)
    result = np.empty(flat.shape, dtype=keras.config.floatx())
    for start in range(0, flat.size, _CHUNK_VALUES):
        chunk = slice(start, start + _CHUNK_VALUES)
        result[chunk] = operation(flat[chunk].astype(np.float64))
    return result.reshape(array.shape)


STEPS: Final[Mapping[str, Callable[[Array, Any], Array]]] = {
    "reshape": _reshape,
    "scale": lambda array, factor: _computed(array, lambda values: values * factor),
    "offset": lambda array, term: _computed(array, lambda values: values + term),
    "one_hot": _one_hot,
    "astype": lambda array, dtype: array.astype(dtype),
    "pad_sequences": _pad_sequences,
}


def _read(spec: DataSpec, dataset_path: Path | None) -> dict[str, Array]:
    names = _names(spec) | (_names(spec.validation) if spec.validation is not None else set())
    if dataset_path is not None:
        return read_npz(dataset_path, names)
    builtin = BUILTIN.get(spec.dataset)
    if builtin is None:
        raise DataError(f"There is no built-in data set {spec.dataset!r}; there are {', '.join(sorted(BUILTIN))}.")
    if builtin.path is not None:
        return read_npz(builtin.path, names)
    return _download(builtin)


def _download(builtin: BuiltinDataset) -> dict[str, Array]:
    name = builtin.keras_module
    assert name is not None  # it has no file of its own
    try:
        with one_at_a_time(name):
            (x_train, y_train), (x_test, y_test) = import_module(f"keras.datasets.{name}").load_data()
    except Exception as error:  # Keras's loaders fail in as many ways as there are networks and half-written files
        raise DataError(
            f"Keras could not load its data set {name!r} on this worker: {error} "
            f"The worker needs the network for the first job that uses it; or put the file that Keras asks for into "
            f"{folder_of_datasets()} by hand, or upload your own copy as an .npz with `fitqueue dataset add`."
        ) from error
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def _names(names: DataSpec | Validation) -> set[str]:
    return {ref.array for ref in [*array_refs(names.x), *array_refs(names.y), *array_refs(names.sample_weight)]}


def _check_lengths(names: DataSpec | Validation, arrays: Mapping[str, Array]) -> None:
    first, *others = [
        ref.array for ref in [*array_refs(names.x), *array_refs(names.y), *array_refs(names.sample_weight)]
    ]
    samples = len(arrays[first])
    for other in others:
        if len(arrays[other]) != samples:
            raise DataError(
                f"{first!r} has {samples} samples and {other!r} has {len(arrays[other])}; they must be the same number."
            )
    if samples == 0:
        raise DataError(f"{first!r} has no samples.")
