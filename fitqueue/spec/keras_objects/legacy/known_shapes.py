"""The shapes of a functional model's tensors, as far as its layers say them without Keras."""

from collections.abc import Iterable
from typing import Any, Final

from fitqueue.spec.keras_objects.legacy.histories import is_call_entry

Shape = list[int | None]
"""The lengths of all axes, the first of which is that of the samples; None: unknown."""

_SAME_SHAPE: Final = frozenset(
    {
        "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dropout", "ELU",
        "GaussianDropout", "GaussianNoise", "LayerNormalization", "LeakyReLU", "Masking", "PReLU", "ReLU", "Rescaling",
        "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "ThresholdedReLU",
    }
)  # fmt: skip
_RECURRENT: Final = frozenset({"LSTM", "GRU", "SimpleRNN"})


def known_shapes(layers: Iterable[Any]) -> dict[str, Shape]:
    """Return the shapes of the outputs of layers in the form of Keras 2, by the names of the layers."""
    shapes: dict[str, Shape] = {}
    for layer in layers:
        if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
            continue
        name = layer.get("name", layer["config"].get("name"))
        shape = _shape(layer, shapes)
        if isinstance(name, str) and shape is not None:
            shapes[name] = shape
    return shapes


def _shape(layer: dict[str, Any], shapes: dict[str, Shape]) -> Shape | None:
    class_name, config = layer.get("class_name"), layer["config"]
    if class_name in ("InputLayer", "Input"):
        shape = config.get("batch_input_shape", config.get("batch_shape"))
        return shape if _is_shape(shape) else None
    before = _input_shape(layer.get("inbound_nodes"), shapes)
    if before is None or not isinstance(class_name, str):
        return None
    if class_name in _SAME_SHAPE:
        return before
    if class_name == "Dense":
        return [*before[:-1], _length(config.get("units"))]
    if class_name == "Embedding":
        return [*before, _length(config.get("output_dim"))]
    if class_name == "Reshape" and isinstance(config.get("target_shape"), list):
        return [before[0], *map(_length, config["target_shape"])]
    if class_name in _RECURRENT and config.get("return_sequences") is True:
        return [*before[:-1], _length(config.get("units"))]
    return None


def _input_shape(nodes: Any, shapes: dict[str, Shape]) -> Shape | None:
    """Return the shape of the tensor that a layer is called on; None if it is called on several, or several times."""
    if not isinstance(nodes, list) or len(nodes) != 1 or not isinstance(nodes[0], list):
        return None
    entries = [nodes[0]] if is_call_entry(nodes[0]) else nodes[0]
    return shapes.get(entries[0][0]) if len(entries) == 1 and is_call_entry(entries[0]) else None


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(length is None or (type(length) is int and length > 0) for length in value)


def _length(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None
