"""Limit the time steps over which the recurrent layers of a model are unrolled.

Keras finds shapes without unrolling anything, so it builds a model with any number of steps at once. Its training would
never begin.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras
from keras import layers as kl

from workers.keras_tools.errors import ModelBuildError

MAX_UNROLLED_STEPS: Final = 512
"""The most steps of all layers together, where each cell counts. An LSTM with 2,000 steps takes more than a minute."""

Pointers = Mapping[int, str]
"""Where the layers are that the job itself names, by their `id`."""

Unrolled = Iterator[tuple[str, int | None]]
"""A pointer to the argument `unroll` of each layer that is unrolled, and the layer's steps; None if unknown."""


def check_unrolled(model: keras.Model, pointers: Pointers) -> None:
    """Check that the model is not unrolled over too many steps.

    Raises:
        ModelBuildError: it is; the pointer leads to the layer that exceeds the limit.
    """
    total = 0
    for pointer, steps in _unrolled_in_layer(model, (), "/model", pointers):
        if steps is None:
            message = "An unrolled layer needs a known number of time steps: give the model's input a shape."
            raise ModelBuildError(pointer, message)
        total += steps
        if total > MAX_UNROLLED_STEPS:
            raise ModelBuildError(
                pointer,
                f"The model would be unrolled over {total} steps, all layers and cells together; at most "
                f"{MAX_UNROLLED_STEPS} are allowed. Leave out `unroll`.",
            )


def _unrolled_in_layer(layer: Any, shape: tuple[Any, ...], pointer: str, pointers: Pointers) -> Unrolled:
    """Yield what is unrolled when the layer is called on an input of this shape."""
    pointer = pointers.get(id(layer), pointer)
    inner_pointer = f"{pointer}/config/layer"
    if isinstance(layer, keras.Model):
        yield from _unrolled_in_model(layer, pointer, pointers)
    elif isinstance(layer, kl.Bidirectional):
        yield from _unrolled_in_layer(layer.forward_layer, shape, inner_pointer, pointers)
        yield from _unrolled_in_layer(layer.backward_layer, shape, inner_pointer, pointers)
    elif isinstance(layer, kl.TimeDistributed):
        yield from _unrolled_in_layer(layer.layer, (shape[0], *shape[2:]), inner_pointer, pointers)
    elif isinstance(layer, kl.Wrapper):
        yield from _unrolled_in_layer(layer.layer, shape, inner_pointer, pointers)
    elif isinstance(layer, kl.Pipeline):
        for inner in layer.layers:
            yield from _unrolled_in_layer(inner, shape, pointer, pointers)
            shape = inner.compute_output_shape(shape)
    elif getattr(layer, "unroll", False):
        yield f"{pointer}/config/unroll", shape[1] and shape[1] * _count_cells(layer.cell)


def _unrolled_in_model(model: keras.Model, pointer: str, pointers: Pointers) -> Unrolled:
    """Yield what is unrolled in each call of the model's graph, from its inputs to its outputs."""
    graph = model._functional if isinstance(model, keras.Sequential) else model
    if graph is None:  # the shape of its input is unknown
        return
    for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            if node.input_tensors:
                yield from _unrolled_in_layer(node.operation, node.input_tensors[0].shape, pointer, pointers)


def _count_cells(cell: Any) -> int:
    return sum(map(_count_cells, cell.cells)) if isinstance(cell, kl.StackedRNNCells) else 1
