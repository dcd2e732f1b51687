"""Connect the layers of a functional model by their inbound nodes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras

from fitqueue.json_pointer import pointer_to
from fitqueue.spec.keras_objects.graph import first_node, is_keras_history, keras_history
from workers.keras_tools.errors import ModelBuildError, describe_layer, raise_build_error
from workers.keras_tools.objects import call_class


class _Call(NamedTuple):
    """One call of a layer."""

    layer_index: int
    node: int
    """The number of the call among those of its layer, as `keras_history` counts them."""
    arguments: Mapping[str, Any]
    """Its `args` and `kwargs`, with a `keras_history` in place of each tensor."""


def build_functional(
    layers: Sequence[keras.layers.Layer], config: Mapping[str, Any], options: Mapping[str, Any], pointer: str
) -> keras.Model:
    """Return a functional model of these layers.

    Each layer is called as soon as its inputs exist.

    Args:
        layers: the layers in the order of the config.
        options: further arguments of `keras.Model`.
        pointer: where the model is in the job.

    Raises:
        ModelBuildError: Keras cannot connect the layers.
    """
    graph = _Graph(layers, config["layers"], pointer)
    graph.run(_calls(config["layers"]))
    inputs, outputs = (graph.tensors_at(config[name], name) for name in ("input_layers", "output_layers"))
    return call_class(keras.Model, {"inputs": inputs, "outputs": outputs, **options}, pointer, "Functional")


def _calls(layers: Sequence[Mapping[str, Any]]) -> list[_Call]:
    return [
        _Call(index, node, arguments)
        for index, layer in enumerate(layers)
        for node, arguments in enumerate(layer["inbound_nodes"], first_node(layer["class_name"]))
    ]


class _Graph:
    """The tensors of a functional model, as far as its layers have been called."""

    def __init__(
        self, layers: Sequence[keras.layers.Layer], configs: Sequence[Mapping[str, Any]], pointer: str
    ) -> None:
        self._layers = layers
        self._pointer = pointer
        self._tensors: dict[tuple[str, int], list[Any]] = {
            (layer.name, 0): keras.tree.flatten(layer.output)
            for layer, config in zip(layers, configs, strict=True)
            if not config["inbound_nodes"]
        }
        """The outputs of each call, by the name of the layer and the number of the call."""

    def run(self, calls: list[_Call]) -> None:
        while calls:
            waiting = [call for call in calls if not self._run_call(call)]
            if len(waiting) == len(calls):
                raise ModelBuildError(f"{self._pointer}/config/layers", "These layers wait for each other's outputs.")
            calls = waiting

    def tensors_at(self, histories: Any, name: str) -> Any:
        """Return the tensors at the inputs or outputs of the model, in the same form: a single one, a list or a dict.

        Args:
            name: of the histories in the config of the model.
        """
        pointer = f"{self._pointer}/config/{name}"
        if is_keras_history(histories):
            return self._tensor(histories, pointer)
        if isinstance(histories, dict):
            return {key: self._tensor(history, pointer + pointer_to(key)) for key, history in histories.items()}
        return [self._tensor(history, f"{pointer}/{i}") for i, history in enumerate(histories)]

    def _run_call(self, call: _Call) -> bool:
        """Call the layer if its inputs exist; return whether they do."""
        layer, pointer = self._layers[call.layer_index], f"{self._pointer}/config/layers/{call.layer_index}"
        try:
            args = self._with_tensors(call.arguments["args"], pointer)
            kwargs = self._with_tensors(call.arguments["kwargs"], pointer)
        except LookupError:
            return False
        shapes = [tensor.shape for tensor in keras.tree.flatten([args, kwargs]) if hasattr(tensor, "shape")]
        try:
            self._tensors[layer.name, call.node] = keras.tree.flatten(layer(*args, **kwargs))
        except Exception as error:
            input_shape = shapes[0] if len(shapes) == 1 else shapes
            raise_build_error(pointer, describe_layer(call.layer_index, layer, input_shape), error)
        return True

    def _with_tensors(self, value: Any, pointer: str) -> Any:
        """Return the arguments of a call with a tensor in place of each `keras_history`.

        Raises:
            LookupError: a tensor does not exist yet.
        """
        if (history := keras_history(value)) is not None:
            return self._tensor(history, pointer)
        if isinstance(value, list):
            return [self._with_tensors(item, pointer) for item in value]
        if isinstance(value, dict):
            return {key: self._with_tensors(item, pointer) for key, item in value.items()}
        return value

    def _tensor(self, history: Sequence[Any], pointer: str) -> Any:
        name, node, index = history
        outputs = self._tensors[name, node]
        if index >= len(outputs):
            message = f"The layer {name!r} has {len(outputs)} output(s), so there is no tensor {index}."
            raise ModelBuildError(pointer, message)
        return outputs[index]
