"""The arrays that a job trains on: read, prepared as the job says, and in the dtypes that Keras computes with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from fitqueue.datasets import BUILTIN, BuiltinDataset
from fitqueue.spec.fields.data import (
    ArrayNames,
    DataSpec,
    PadSequences,
    PrepareStep,
    Steps,
    Validation,
    array_refs,
    single_or_by_name,
)
from workers.keras_tools.downloads import datasets_folder, exclusive_download
from workers.keras_tools.npz import Array, DataError, read_npz

Arrays = Array | dict[str, Array] | list[Array]
"""An array, or one for each input or output of a model: by name, or in the model's order."""

_CHUNK_VALUES: Final = 4_000_000


@dataclass(frozen=True)
class Samples:
    """Inputs, targets and weights, sample by sample. Without weights, all samples count the same."""

    x: Arrays
    y: Arrays
    weights: Arrays | None = None

    def __len__(self) -> int:
        return len(keras.tree.flatten(self.x)[0])


@dataclass(frozen=True)
class Data:
    """What a job trains and validates on."""

    train: Samples
    validation: Samples | None


# --- Loading -------------------------------------------------------------------------------------------------------


def load(spec: DataSpec, dataset_path: Path | None) -> Data:
    """Return the prepared arrays of a job.

    Args:
        dataset_path: the user's file on this machine; None if `spec.dataset` is a built-in data set.

    Raises:
        DataError: the data cannot be read, or a step cannot be applied to it.
    """
    arrays = _read_arrays(spec, dataset_path)
    train = _prepare_samples(spec, spec, arrays)
    validation = _prepare_samples(spec.validation, spec, arrays) if spec.validation is not None else None
    return Data(train, validation)


def _read_arrays(spec: DataSpec, dataset_path: Path | None) -> dict[str, Array]:
    names = {*_array_names(spec), *(_array_names(spec.validation) if spec.validation is not None else ())}
    if dataset_path is not None:
        return read_npz(dataset_path, names)
    builtin = BUILTIN.get(spec.dataset)
    if builtin is None:
        message = f"There is no built-in data set {spec.dataset!r}; there are {', '.join(sorted(BUILTIN))}."
        raise DataError(message)
    if builtin.path is not None:
        return read_npz(builtin.path, names)
    return _load_with_keras(builtin)


def _load_with_keras(builtin: BuiltinDataset) -> dict[str, Array]:
    name = builtin.keras_module
    assert name is not None  # it has no file of its own
    try:
        with exclusive_download(name):
            (x_train, y_train), (x_test, y_test) = import_module(f"keras.datasets.{name}").load_data()
    except Exception as error:  # Keras's loaders raise anything, for each kind of network error and half-written file
        raise DataError(
            f"Keras could not load its data set {name!r} on this worker: {error} The first job that uses a data set "
            "needs a network connection on the worker. Without one, put the file that Keras asks for into "
            f"{datasets_folder()}, or upload a copy as an .npz file with `fitqueue dataset add`."
        ) from error
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def _array_names(names: DataSpec | Validation) -> list[str]:
    """Return the names of the arrays for inputs, targets and weights."""
    return [ref.array for ref in [*array_refs(names.x), *array_refs(names.y), *array_refs(names.sample_weight)]]


# --- Preparation ---------------------------------------------------------------------------------------------------


def _prepare_samples(names: DataSpec | Validation, spec: DataSpec, arrays: Mapping[str, Array]) -> Samples:
    _check_lengths(_array_names(names), arrays)
    return Samples(
        _prepare_arrays(names.x, spec.prepare.x, arrays, field="x"),
        _prepare_arrays(names.y, spec.prepare.y, arrays, field="y"),
        _prepare_arrays(names.sample_weight, [], arrays, field="sample_weight")
        if names.sample_weight is not None
        else None,
    )


def _check_lengths(names: Sequence[str], arrays: Mapping[str, Array]) -> None:
    first, *others = names
    samples = len(arrays[first])
    for other in others:
        if len(arrays[other]) != samples:
            raise DataError(
                f"{first!r} has {samples} samples and {other!r} has {len(arrays[other])}, but they must have the same "
                "number."
            )
    if samples == 0:
        raise DataError(f"{first!r} has no samples.")


def _prepare_arrays(names: ArrayNames, steps: Steps, arrays: Mapping[str, Array], field: str) -> Arrays:
    refs = array_refs(names, steps)
    return single_or_by_name({ref.key: prepare(arrays[ref.array], ref.steps, field) for ref in refs})


def prepare(array: Array, steps: Iterable[PrepareStep], field: str) -> Array:
    """Return the array after all steps.

    Args:
        field: `x` or `y`, for the message of an error.

    Raises:
        DataError: a step cannot be applied to the array.
    """
    for step in steps:
        try:
            array = STEPS[step.kind](array, getattr(step, step.kind))
        except (ValueError, TypeError, IndexError) as error:
            raise DataError(
                f"The step {step.kind!r} of data.prepare.{field} failed on an array of shape {array.shape} and dtype "
                f"{array.dtype}: {error}"
            ) from error
    return array


def _reshape(array: Array, shape: Sequence[int]) -> Array:
    return array.reshape((len(array), *shape))


def _one_hot(array: Array, classes: int) -> Array:
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 or high >= classes:
        raise ValueError(f"the labels go from {low} to {high}, but one_hot accepts 0 to {classes - 1}")
    return np.asarray(keras.utils.to_categorical(array, classes), dtype=keras.config.floatx())


def _pad_sequences(array: Array, arguments: PadSequences) -> Array:
    dtype = "int32" if arguments.value.is_integer() else "float32"
    return np.asarray(keras.utils.pad_sequences(array, dtype=dtype, **arguments.model_dump()))


def _compute(array: Array, operation: Callable[[Array], Array]) -> Array:
    """Return the result of an operation, computed in float64 and rounded once.

    That is what `x / 255` gives in a plain script. In chunks, it does not need a float64 copy of the whole array.
    """
    flat = array.reshape(-1)
    result = np.empty(flat.shape, dtype=keras.config.floatx())
    for start in range(0, flat.size, _CHUNK_VALUES):
        chunk = slice(start, start + _CHUNK_VALUES)
        result[chunk] = operation(flat[chunk].astype(np.float64))
    return result.reshape(array.shape)


STEPS: Final[Mapping[str, Callable[[Array, Any], Array]]] = {
    "reshape": _reshape,
    "scale": lambda array, factor: _compute(array, lambda values: values * factor),
    "offset": lambda array, term: _compute(array, lambda values: values + term),
    "one_hot": _one_hot,
    "astype": lambda array, dtype: array.astype(dtype),
    "pad_sequences": _pad_sequences,
}
