"""What training changes in a Keras model although it is neither a weight nor a metric.

These are the states of random generators, such as that of a Dropout, and those of stateful recurrent layers. Keras does
not write them into its files, and without them a training does not go on as if it had not ended.
"""

from collections.abc import Iterator
from typing import Any


def states(model: Any) -> list[Any]:
    """Return the variables of these states in a fixed order: the client and a worker must agree on it.

    First come those that Keras lists among `model.variables`, which are random generators; then those of the recurrent
    layers, in the order of the layers.
    """
    seen = {id(variable) for variable in [*model.weights, *model.metrics_variables]}
    found = []
    for variable in [*model.variables, *_recurrent_states(model)]:
        if id(variable) not in seen:
            seen.add(id(variable))
            found.append(variable)
    return found


def _recurrent_states(model: Any) -> Iterator[Any]:
    for layer in model._flatten_layers():
        yield from _variables_in(getattr(layer, "states", None))


def _variables_in(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for element in value:
            yield from _variables_in(element)
    elif hasattr(value, "assign"):
        yield value
