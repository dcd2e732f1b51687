"""Layers that learn from the training data before the training: Normalization, Discretization and IntegerLookup.

A script adapts such a layer before it calls it, because the shapes behind it may depend on what it learns. So does the
build of a model: it stops at the first call of the layer.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import keras
import numpy as np

from fitqueue.spec import KerasObject
from workers.keras_tools.errors import ModelBuildError, raise_build_error
from workers.keras_tools.npz import Array

Learned = Mapping[str, Mapping[str, Any]]
"""What layers have learned, as JSON, by the pointer of the layer."""

Prepare = Callable[[keras.layers.Layer, keras.KerasTensor, str], None]
"""Called with a layer to adapt, the symbol that it is about to be called on, and its pointer."""

_BATCH: Final = 1024


def prepare_before_first_call(layer: keras.layers.Layer, pointer: str, prepare: Prepare) -> None:
    """Have the layer prepared when the model calls it first."""
    original = layer.compute_output_spec

    def prepare_and_compute(inputs: keras.KerasTensor, *args: Any, **kwargs: Any) -> Any:
        del layer.compute_output_spec
        prepare(layer, inputs, pointer)
        return original(inputs, *args, **kwargs)

    layer.compute_output_spec = prepare_and_compute


class Adapter:
    """Adapts layers, or gives them what they have learned before."""

    def __init__(self, inputs: Mapping[str, Array], learned: Learned) -> None:
        """Prepare to adapt.

        Args:
            inputs: the data to learn from, by the names of the model's InputLayers.
            learned: what is known already.
        """
        self._inputs = inputs
        self._known = learned
        self._layers: dict[str, keras.layers.Layer] = {}

    def prepare(self, layer: keras.layers.Layer, tensor: keras.KerasTensor, pointer: str) -> None:
        """Adapt the layer to the values of this tensor, unless it is known what it learns from them.

        Raises:
            ModelBuildError: the values depend on weights, or Keras cannot adapt the layer to them.
        """
        self._layers[pointer] = layer
        if pointer in self._known:
            _restore(layer, self._known[pointer])
            return
        check_can_adapt(layer, tensor, pointer)
        try:
            layer.adapt(self._values_of(tensor))
        except Exception as error:
            raise_build_error(pointer, f"{type(layer).__name__} cannot be adapted to the data", error)

    def learned(self) -> Learned:
        """Return what the layers have learned, or were given with their weights."""
        return {pointer: _learned(layer) for pointer, layer in self._layers.items()}

    def _values_of(self, tensor: keras.KerasTensor) -> Array:
        operation = tensor._keras_history.operation
        if isinstance(operation, keras.layers.InputLayer):
            return _with_rank(self._inputs[operation.name], len(tensor.shape))
        inputs = [layer.output for layer in _upstream(tensor) if isinstance(layer, keras.layers.InputLayer)]
        arrays = [self._values_of(symbol) for symbol in inputs]
        function = keras.Function(inputs, tensor)
        batches = [
            keras.ops.convert_to_numpy(function([array[start : start + _BATCH] for array in arrays]))
            for start in range(0, len(arrays[0]), _BATCH)
        ]
        return np.concatenate(batches)


def inputs_by_layer(model: KerasObject, x: Array | Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of a job by the names of the InputLayers that they are for, in the model as it is stored."""
    if not isinstance(x, Mapping):
        return _EveryInput(x)
    histories = model.config.get("input_layers")
    names = {key: history[0] for key, history in histories.items()} if isinstance(histories, dict) else {}
    return {names.get(key, key): array for key, array in x.items()}


class _EveryInput(dict[str, Array]):
    """The single array of a job, under every name: a Sequential gives its InputLayer any name."""

    def __init__(self, array: Array) -> None:
        super().__init__()
        self._array = array

    def __missing__(self, name: str) -> Array:
        return self._array


def assume_learned(layer: keras.layers.Layer, tensor: keras.KerasTensor, pointer: str) -> None:
    """Prepare a layer of a model that is only checked: without data, a vocabulary has as many values as it may.

    Raises:
        ModelBuildError: the layer cannot be adapted.
    """
    check_can_adapt(layer, tensor, pointer)
    if isinstance(layer, keras.layers.IntegerLookup) and layer._frozen_vocab_size is None:
        layer._frozen_vocab_size = layer.max_tokens or layer.num_oov_indices + 1


def check_can_adapt(layer: keras.layers.Layer, tensor: keras.KerasTensor, pointer: str) -> None:
    """Check that the values of this tensor are known before the training.

    Raises:
        ModelBuildError: they depend on weights.
    """
    weighted = [other for other in _upstream(tensor) if other.trainable_weights]
    if weighted:
        raise ModelBuildError(
            pointer,
            f"{type(layer).__name__} cannot be adapted behind the layer {weighted[0].name!r}, whose weights change "
            "while the model trains. Put it before that layer, or use BatchNormalization.",
        )


def _upstream(tensor: keras.KerasTensor) -> list[keras.layers.Layer]:
    """Return the layers that a tensor was computed by."""
    layers: dict[int, keras.layers.Layer] = {}
    waiting = [tensor]
    while waiting:
        history = waiting.pop()._keras_history
        if id(history.operation) not in layers:
            layers[id(history.operation)] = history.operation
            waiting += history.operation._inbound_nodes[history.node_index].input_tensors
    return list(layers.values())


def _with_rank(array: Array, rank: int) -> Array:
    """Return the array as `fit` passes it to an input: Keras adds or drops a last axis of length 1."""
    if array.ndim == rank - 1:
        return array[..., None]
    return array[..., 0] if array.ndim == rank + 1 else array


# --- What a layer has learned --------------------------------------------------------------------------------------


def _learned(layer: keras.layers.Layer) -> dict[str, Any]:
    if isinstance(layer, keras.layers.Normalization):
        variables = {"mean": layer.adapt_mean, "variance": layer.adapt_variance}
        return {name: keras.ops.convert_to_numpy(value).tolist() for name, value in variables.items()}
    if isinstance(layer, keras.layers.Discretization):
        return {"bin_boundaries": layer.bin_boundaries}
    vocabulary = [int(token) for token in layer.get_vocabulary()]
    if layer.output_mode != "tf_idf":
        return {"vocabulary": vocabulary}
    return {"vocabulary": vocabulary, "idf_weights": layer.idf_weights_const.numpy()[: len(vocabulary)].tolist()}


def _restore(layer: keras.layers.Layer, learned: Mapping[str, Any]) -> None:
    if isinstance(layer, keras.layers.Normalization):
        layer.adapt_mean.assign(learned["mean"])
        layer.adapt_variance.assign(learned["variance"])
        layer.finalize_state()
    elif isinstance(layer, keras.layers.Discretization):
        layer.bin_boundaries = learned["bin_boundaries"]
    else:
        layer.set_vocabulary(learned["vocabulary"], learned.get("idf_weights"))
