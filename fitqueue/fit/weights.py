"""The weights of the caller's model, and what else training changes in it, in a file of Keras's."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import h5py
import numpy as np

from fitqueue.fit.arrays import Array
from fitqueue.fit.framework import is_keras_2
from fitqueue.model_states import states
from fitqueue.weights import STATES

_SKIPPED: Final = "Skipping variable loading for optimizer"


def save_weights(keras: ModuleType, model: Any, path: Path) -> dict[str, bool]:
    """Write a model as it is now; return what is in the file besides weights, as options of `initial_weights`.

    A model of Keras 2 has neither: its optimizers and random generators have other variables than those of a job.
    """
    model.save_weights(path)
    if is_keras_2(keras):
        return {}
    found = states(model)
    add_states(path, [np.array(keras.ops.convert_to_numpy(variable)) for variable in found])
    options = {"states": bool(found), "optimizer": has_trained(model.optimizer)}
    return {name: True for name, is_there in options.items() if is_there}


def load_weights(keras: ModuleType, model: Any, path: Path, *, with_optimizer: bool) -> None:
    """Set the weights of a model and the states of its random generators.

    Args:
        with_optimizer: the file has the variables of the optimizer; it is built, so that Keras sets them, too.

    Raises:
        ValueError: the weights are those of another model.
    """
    if with_optimizer:
        model.optimizer.build(model.trainable_variables)
    with _no_word_of_the_optimizer():
        model.load_weights(path)
    if not is_keras_2(keras):
        _load_states(model, path)


@contextmanager
def _no_word_of_the_optimizer() -> Iterator[None]:
    """Keep both Kerases from remarking that the file has no optimizer: the one by a warning, the other in the log."""
    log = logging.getLogger("absl")
    log.addFilter(_is_of_interest)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_SKIPPED)
            yield
    finally:
        log.removeFilter(_is_of_interest)


def _is_of_interest(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_SKIPPED)


def has_trained(optimizer: Any) -> bool:
    """Return whether an optimizer of Keras 3 has taken a step: otherwise its variables are as its config makes them."""
    return bool(optimizer.built) and int(optimizer.iterations) > 0


def add_states(path: Path, arrays: Sequence[Array]) -> None:
    """Add states to a `.weights.h5`. Keras does not look at them."""
    if not arrays:
        return
    with h5py.File(path, "a") as file:
        group = file.create_group(f"{STATES}/vars")
        for index, array in enumerate(arrays):
            # HDF5 has no bfloat16, and float32 holds the same numbers.
            group[str(index)] = array.astype("float32") if array.dtype.kind == "V" else array


def _load_states(model: Any, path: Path) -> None:
    found = states(model)
    with h5py.File(path, "r") as file:
        stored = file.get(f"{STATES}/vars", {})
        if len(stored) == len(found):
            for index, variable in enumerate(found):
                variable.assign(stored[str(index)][()])
