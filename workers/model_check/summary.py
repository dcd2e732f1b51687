"""The content of `model.summary()` as data, and an estimate of the memory for training, computed from shapes."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import keras

from fitqueue.spec import KerasObject
from fitqueue.views import LayerView, MemoryEstimate, ModelSummary

# How many variables an optimizer keeps for each trainable weight. All others keep two.
_VARIABLES_PER_WEIGHT: Final = {"SGD": 0, "Adagrad": 1, "Adafactor": 1, "Lion": 1, "RMSprop": 1}
_DEFAULT_VARIABLES: Final = 2


def summarize(model: keras.Model, optimizer: KerasObject, batch_size: int) -> ModelSummary:
    """Return the summary of a model, which may have been built without weights."""
    trainable = _bytes(model.trainable_weights)
    weights = _bytes(model.weights)
    slots = trainable * _variables_per_weight(optimizer)
    activations = sum(_activation_bytes(layer, batch_size) for layer in model.layers)
    return ModelSummary(
        layers=[_layer_view(layer) for layer in model.layers],
        parameters=_count_parameters(model.weights),
        trainable_parameters=_count_parameters(model.trainable_weights),
        memory=MemoryEstimate(
            weights=weights,
            gradients=trainable,
            optimizer=slots,
            activations=activations,
            total=weights + trainable + slots + activations,
        ),
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


def _activation_bytes(layer: keras.layers.Layer, batch_size: int) -> int:
    if isinstance(layer, keras.Model):
        return sum(_activation_bytes(inner, batch_size) for inner in layer.layers)
    return sum(
        batch_size * math.prod(length or 1 for length in tensor.shape[1:]) * _item_bytes(tensor.dtype)
        for tensor in _outputs(layer)
    )


def _variables_per_weight(optimizer: KerasObject) -> int:
    """Return how many variables the optimizer keeps for each trainable weight."""
    config = optimizer.config
    inner = config.get("inner_optimizer")
    if isinstance(inner, dict):
        return _variables_per_weight(KerasObject.model_validate(inner))
    extra = sum(bool(config.get(name)) for name in ("use_ema", "gradient_accumulation_steps", "amsgrad", "centered"))
    momentum = bool(config.get("momentum")) if optimizer.class_name in ("SGD", "RMSprop") else 0
    return _VARIABLES_PER_WEIGHT.get(optimizer.class_name, _DEFAULT_VARIABLES) + extra + momentum


def _bytes(weights: Iterable[Any]) -> int:
    return sum(math.prod(weight.shape) * _item_bytes(weight.dtype) for weight in weights)


def _item_bytes(dtype: str) -> int:
    """Return the bytes of one value: 4 for `float32`, 1 for `float8_e4m3fn` and `bool`."""
    bits = re.search(r"\d+", dtype)
    return max(1, int(bits.group()) // 8) if bits else 1
