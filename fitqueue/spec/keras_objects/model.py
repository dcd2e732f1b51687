"""The bounds of a model, its fields, and the shape of its input."""

from typing import Any, Final

from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer, did_you_mean, listed, quoted
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.catalogue import Schema
from fitqueue.spec.keras_objects.graph import is_input
from fitqueue.spec.keras_objects.legacy.names import current_class
from fitqueue.spec.keras_objects.naming import SCOPE_NAME

# --- Bounds --------------------------------------------------------------------------------------------------------

MAX_LAYERS: Final = 1100
"""The highest `build_cost` of a model.

Keras builds a plain layer in about a millisecond. Its largest architecture has 1,041 layers.
"""

# Classes that take Keras several times as long to build as other layers of their size.
_BUILD_COSTS: Final = {
    "Bidirectional": 4,
    "LSTM": 2,
    "GRU": 2,
    "SimpleRNN": 2,
    "ConvLSTM1D": 2,
    "ConvLSTM2D": 2,
    "ConvLSTM3D": 2,
    "Sequential": 3,
    "Functional": 3,
    "RandAugment": 6,
    "AugMix": 6,
}
# The arguments in which models, wrappers, and recurrent layers over cells hold other layers.
_LAYER_ARGUMENTS: Final = ("layers", "layer", "backward_layer", "cell", "cells")


def check_layer_list(layers: Any, pointer: Pointer) -> bool:
    """Report a list of layers that is missing, empty or too long. Return whether its layers can be checked."""
    if not isinstance(layers, list) or not layers:
        pointer.add_fault(FaultCode.MISSING, "A model needs a list of layers.", layers, "a list of layers")
        return False
    count = sum(map(build_cost, layers))
    if count > MAX_LAYERS:
        pointer.add_fault(
            FaultCode.TOO_LARGE,
            f"This model counts as {count} layers; at most {MAX_LAYERS} are allowed. An architecture counts as all of "
            "its layers, a shared layer once for each call, a Bidirectional or a model inside the model as several.",
            received=count,
            expected=f"at most {MAX_LAYERS}",
        )
    return count <= MAX_LAYERS


def build_cost(layer: Any) -> int:
    """Return how many plain layers Keras could build in the time that this layer or model takes."""
    class_name = current_class(layer.get("class_name")) if isinstance(layer, dict) else None
    if class_name is None:
        return 1
    if catalogue.is_application(class_name):
        own_cost = catalogue.kind("applications").classes[class_name].layers
    else:
        own_cost = _BUILD_COSTS.get(class_name, 1)
    inner_cost = sum(map(build_cost, _layers_in(layer)))
    copies = 2 if class_name == "Bidirectional" else 1
    nodes = layer.get("inbound_nodes")
    calls = len(nodes) if isinstance(nodes, list) else 1
    return max(1, calls) * (own_cost + copies * inner_cost)


def _layers_in(layer: dict[str, Any]) -> list[Any]:
    config = layer.get("config")
    if isinstance(config, list):  # a Sequential before Keras 2.2.3
        config = {"layers": config}
    if not isinstance(config, dict):
        return []
    values = (config.get(argument) for argument in _LAYER_ARGUMENTS)
    layers = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [layer for layer in layers if isinstance(layer, dict)]


# --- Fields --------------------------------------------------------------------------------------------------------

FIELDS: Final[dict[str, tuple[Schema, Any]]] = {
    "name": ({"anyOf": [SCOPE_NAME, {"type": "null"}]}, None),
    "trainable": ({"type": "boolean"}, True),
}
"""The fields that every model has, with their schemas and defaults."""

_FIELD_NAMES: Final = {
    "Sequential": {*FIELDS, "layers"},
    "Functional": {*FIELDS, "layers", "input_layers", "output_layers"},
}
# Keras writes these into a model's config, and a job does not need them: the shape of the input is that of the
# InputLayer, and each layer has a dtype of its own.
_IGNORED: Final = {"dtype", "build_input_shape"}


def report_unknown_fields(class_name: str, config: dict[str, Any], pointer: Pointer) -> None:
    """Report the fields of a model that its class does not have."""
    known = _FIELD_NAMES[class_name]
    for name in (name for name in config if name not in known | _IGNORED):
        (pointer / name).add_fault(
            FaultCode.UNKNOWN_FIELD,
            f"{class_name} has no field {quoted(name)}." + did_you_mean(name, known),
            expected="one of " + listed(sorted(known)),
        )


def is_bare_sequence(value: dict[str, Any]) -> bool:
    """Return whether a model is a Sequential whose config is the list of its layers, as before Keras 2.2.3."""
    return value.get("class_name") == "Sequential" and isinstance(value.get("config"), list)


def with_layers_field(value: dict[str, Any], pointer: Pointer) -> tuple[dict[str, Any], Pointer]:
    """Return the config of a model with its layers in a field, and the pointer to the layers as they were sent.

    Args:
        pointer: leads to the config.
    """
    if not is_bare_sequence(value):
        return value.get("config", {}), pointer / "layers"
    pointer.add_notice(NoticeCode.TRANSLATED, "The list, as before Keras 2.2.3, is read as the layers of the model.")
    return {"layers": value["config"]}, pointer


# --- The shape of the input ----------------------------------------------------------------------------------------


def input_layer(model: dict[str, Any]) -> tuple[int, list[int | None] | None] | None:
    """Return the index of the model's InputLayer and the shape of one sample there; None if it has no InputLayer.

    The shape is None if any shape is accepted.
    """
    layers = model["config"].get("layers", [])
    index = next((i for i, layer in enumerate(layers) if is_input(layer)), None)
    if index is None:
        return None
    config = layers[index]["config"]
    shape = config.get("shape")
    if shape is None and isinstance(config.get("batch_shape"), list):
        shape = config["batch_shape"][1:]
    return index, shape


def with_input(model: dict[str, Any], shape: list[int | None], pointer: Pointer) -> dict[str, Any]:
    """Return a Sequential without an InputLayer with one of the data's shape, which is the one that `fit` would use."""
    pointer.add_notice(
        NoticeCode.FILLED_IN,
        f"The model does not give the shape of its input. It is built for that of the data, {shape}.",
    )
    first = {"class_name": "InputLayer", "config": {"shape": shape}}
    return {**model, "config": {**model["config"], "layers": [first, *model["config"]["layers"]]}}
