"""The content of `model.summary()` as data."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from fitqueue.views import LayerView, MemoryEstimate, ModelSummary


def summarize(model: keras.Model, memory: MemoryEstimate) -> ModelSummary:
    """Return the summary of a model, which may have been built without weights."""
    return ModelSummary(
        layers=[_layer_view(layer) for layer in model.layers],
        parameters=_count_parameters(model.weights),
        trainable_parameters=_count_parameters(model.trainable_weights),
        memory=memory,
    )


def _count_parameters(weights: Iterable[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _layer_view(layer: keras.layers.Layer) -> LayerView:
    nodes = layer._inbound_nodes
    return LayerView(
        name=layer.name,
        class_name=type(layer).__name__,
        output_shapes=[list(tensor.shape) for tensor in _outputs(layer)],
        dtype=layer.compute_dtype,
        parameters=_count_parameters(layer.weights),
        trainable=bool(layer.trainable),
        inputs=list(dict.fromkeys(parent.operation.name for node in nodes[-1:] for parent in node.parent_nodes)),
    )


def _outputs(layer: keras.layers.Layer) -> Sequence[keras.KerasTensor]:
    """Return the outputs of the layer's last call, which is the one in this model; none if it was never called."""
    return [tensor for node in layer._inbound_nodes[-1:] for tensor in keras.tree.flatten(node.outputs)]
