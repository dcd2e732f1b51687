"""How many steps a model unrolls, wherever its recurrent layers stand.

Keras finds shapes without unrolling anything, so a model of any number of steps is built at once; its training would
never begin.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras
from keras import layers as kl

from workers.keras_tools.objects import ModelBuildError

MAX_UNROLLED_STEPS: Final = 512
"""Of all layers together, a step once for each of its cells. An LSTM of 2,000 steps takes more than a minute."""

Pointers = Mapping[int, str]
"""Where the layers stand that the job itself names, by their `id`."""

Unrolled = Iterator[tuple[str, int | None]]
"""Pointers to layers that are unrolled, and the steps of each; None where the number is not known."""


def check_unrolled(model: keras.Model, pointers: Pointers) -> None:
    """Raises ModelBuildError at the layer with which the model has too many steps."""
    total = 0
    for pointer, steps in _in_layer(model, (), "/model", pointers):
        if steps is None:
            raise ModelBuildError(
                pointer, "An unrolled layer must know the number of its time steps: give the model's input a shape."
            )
        total += steps
        if total > MAX_UNROLLED_STEPS:
            raise ModelBuildError(
                pointer,
                f"The model would be unrolled over {total} steps, those of all its layers and cells together; at most "
                f"{MAX_UNROLLED_STEPS} are. Leave out `unroll`.",
            )


def _in_layer(layer: Any, shape: tuple[Any, ...], pointer: str, pointers: Pointers) -> Unrolled:
    """What one call of the layer on this shape unrolls."""
    pointer, inside = pointers.get(id(layer), pointer), f"{pointers.get(id(layer), pointer)}/config/layer"
    if isinstance(layer, keras.Model):
        yield from _in_model(layer, pointer, pointers)
    elif isinstance(layer, kl.Bidirectional):
        yield from _in_layer(layer.forward_layer, shape, inside, pointers)
        yield from _in_layer(layer.backward_layer, shape, inside, pointers)
    elif isinstance(layer, kl.TimeDistributed):
        yield from _in_layer(layer.layer, (shape[0], *shape[2:]), inside, pointers)
    elif isinstance(layer, kl.Wrapper):
        yield from _in_layer(layer.layer, shape, inside, pointers)
    elif isinstance(layer, kl.Pipeline):
        for one in layer.layers:
            yield from _in_layer(one, shape, pointer, pointers)
            shape = one.compute_output_shape(shape)
    elif getattr(layer, "unroll", False):
        yield f"{pointer}/config/unroll", shape[1] and shape[1] * _cells(layer.cell)


def _in_model(model: keras.Model, pointer: str, pointers: Pointers) -> Unrolled:
    """Each call in the model's own graph, the first ones first."""
    graph = model._functional if isinstance(model, keras.Sequential) else model
    if graph is None:  # nothing tells yet what goes in
        return
    for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            if node.input_tensors:
                yield from _in_layer(node.operation, node.input_tensors[0].shape, pointer, pointers)


def _cells(cell: Any) -> int:
    return sum(map(_cells, cell.cells)) if isinstance(cell, kl.StackedRNNCells) else 1
