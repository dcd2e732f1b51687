"""What stored weights may hold besides weights: the variables of an optimizer, and the states that Keras leaves out.

With both, a training goes on as if it had not ended. They are compared with those of the job by number, order, shape
and kind, because Keras's files have no names for them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import keras
import numpy as np

from fitqueue.model_states import states
from fitqueue.weights import OPTIMIZER, STATES, parse_name
from workers.keras_tools.keras_stores import HasShape
from workers.keras_tools.npz import Array
from workers.keras_tools.weights import WeightsMismatch

_SUFFIX: Final = re.compile(r"_\d+$")


@dataclass
class StoredState:
    """What was stored besides weights.

    Attributes:
        optimizer_name: the name of the optimizer; None if the file does not have it.
        optimizer: the variables of the optimizer by their paths in it.
        states: the states, by their paths.
    """

    optimizer_name: str | None = None
    optimizer: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)


def state_in(arrays: Mapping[str, Any]) -> StoredState:
    """Return what arrays with the names of `fitqueue.weights` hold besides weights."""
    stored = StoredState()
    for name, array in arrays.items():
        parsed = parse_name(name)
        if parsed is not None and parsed.part == OPTIMIZER:
            stored.optimizer[parsed.path] = array
            stored.optimizer_name = parsed.layer or stored.optimizer_name
        elif parsed is not None and parsed.part == STATES:
            stored.states[parsed.path] = array
    return stored


def variables_of(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Return the variables of a built optimizer by their paths in a file of Keras's."""
    variables = numbered(optimizer.variables)
    inner = getattr(optimizer, "inner_optimizer", None)  # of a LossScaleOptimizer
    if inner is not None:
        variables |= {f"inner_optimizer/{path}": variable for path, variable in variables_of(inner).items()}
    return variables


def compare_optimizer(name: str, needed: Mapping[str, HasShape], stored: StoredState) -> None:
    """Compare stored variables with those of an optimizer.

    Raises:
        WeightsMismatch: they are those of another one, or of one for another model.
    """
    if not stored.optimizer:
        message = "The stored weights come without the variables of an optimizer. Save a compiled model."
        raise WeightsMismatch(message, None, f"the variables of the optimizer {name!r}")
    if stored.optimizer_name is not None and _comparable(stored.optimizer_name) != _comparable(name):
        stored_name = _SUFFIX.sub("", stored.optimizer_name)
        message = f"The stored variables are those of the optimizer {stored_name!r}, and this job has {name!r}."
        raise WeightsMismatch(message, stored_name, name)
    _compare(f"of the optimizer {name!r}", needed, stored.optimizer)


def compare_states(needed: Sequence[HasShape], stored: StoredState) -> None:
    """Compare stored states with those of a model.

    Raises:
        WeightsMismatch: they are those of another model.
    """
    _compare("in the states of random generators and recurrent layers", numbered(needed), stored.states)


def fill_optimizer(model: keras.Model, stored: StoredState) -> None:
    """Set the variables of the optimizer of a compiled model.

    Raises:
        WeightsMismatch: they are those of another optimizer, or of one for another model.
    """
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    needed = variables_of(optimizer)
    compare_optimizer(optimizer.name, needed, stored)
    _assign(needed, stored.optimizer)


def fill_states(model: keras.Model, stored: StoredState) -> None:
    """Set the states of random generators and of recurrent layers.

    Raises:
        WeightsMismatch: they are those of another model.
    """
    needed = states(model)
    compare_states(needed, stored)
    _assign(numbered(needed), stored.states)


def copy_states(model: keras.Model) -> list[Array]:
    """Return a copy of the states of a model."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in states(model)]


def kinds_agree(needed: Any, stored: Any) -> bool:
    """Return whether values of one dtype can stand for those of another: integers for integers, floats for floats."""
    return _kind(needed) == _kind(stored)


def _comparable(name: str) -> str:
    """Return a name without the number that Keras appends, and without `_`: RMSprop is `rmsprop`, here `rm_sprop`."""
    return _SUFFIX.sub("", name).replace("_", "")


def numbered(variables: Sequence[Any]) -> dict[str, Any]:
    """Return variables by the paths that a file has for them."""
    return {f"vars/{index}": variable for index, variable in enumerate(variables)}


def _compare(whose: str, needed: Mapping[str, HasShape], stored: Mapping[str, HasShape]) -> None:
    if needed.keys() != stored.keys():
        message = f"{len(stored)} variables are stored {whose}, and this job has {len(needed)}."
        raise WeightsMismatch(message, len(stored), f"{len(needed)}")
    for path, variable in needed.items():
        shape, stored_shape = list(variable.shape), list(stored[path].shape)
        if shape != stored_shape:
            message = f"The variable {path!r} {whose} has the shape {shape}, and the stored one {stored_shape}."
            raise WeightsMismatch(message, stored_shape, f"{shape}")
        if not kinds_agree(variable.dtype, stored[path].dtype):
            message = (
                f"The variable {path!r} {whose} is of {variable.dtype}, and the stored one of {stored[path].dtype}."
            )
            raise WeightsMismatch(message, str(stored[path].dtype), str(variable.dtype))


def _assign(needed: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    for path, variable in needed.items():
        variable.assign(stored[path])


def _kind(dtype: Any) -> str:
    """Return `f`, `i` or `b`; a bfloat16, which NumPy lacks, is a float.

    Unsigned integers are not told from others: without memory, the state of a random generator has another dtype.
    """
    name = str(dtype)
    return "f" if name == "bfloat16" else np.dtype(name).kind.replace("u", "i")
