"""Check a model: a Sequential's list of layers, or a functional model's layers and how they connect."""

from typing import Any, Final

from fitqueue.spec.keras_objects import catalogue, dialect
from fitqueue.spec.keras_objects.graph import check_graph, check_unique_names, is_input
from fitqueue.spec.keras_objects.values import CheckObject, check_value
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer, did_you_mean, listed

MAX_LAYERS: Final = 1100
"""By `weight`. Keras takes about a millisecond to build one; the largest of its architectures has 1,041."""

# Classes that Keras takes several times as long to build as a layer of their size.
_WEIGHTS: Final = {
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
# What Keras writes into a model's config and a job has no use for: a built model's shape is that of its InputLayer, and
# its dtype is nobody's, since each layer has its own.
_IGNORED: Final = {"dtype", "build_input_shape"}
# The arguments by which layers hold others: of models, wrappers, and recurrent layers over cells.
_INNER: Final = ("layers", "layer", "backward_layer", "cell", "cells")
_FIELDS: Final = {
    "Sequential": {"name", "trainable", "layers"},
    "Functional": {"name", "trainable", "layers", "input_layers", "output_layers"},
}
_AXIS: Final = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 2**31 - 1}, {"type": "null"}]}
_NAME: Final = {"anyOf": [{"type": "string", "pattern": "[A-Za-z][A-Za-z0-9_]{0,63}"}, {"type": "null"}]}


def check_model(class_name: str, config: dict[str, Any], at: Pointer, check_object: CheckObject) -> dict[str, Any]:
    """The canonical form of a model, whether the whole one or one that stands as a layer in another."""
    here = at / "config"
    checked: dict[str, Any] = _check_fields(class_name, config, here, check_object)
    layers = config.get("layers")
    if not isinstance(layers, list) or not layers:
        (here / "layers").fault(FaultCode.MISSING, "A model needs a list of layers.", layers, "a list of layers")
    elif (count := sum(map(weight, layers))) > MAX_LAYERS:
        (here / "layers").fault(
            FaultCode.TOO_LARGE,
            f"A model may have {MAX_LAYERS} layers, this one has {count}: an architecture counts as all of its layers, "
            "a shared layer as often as it is called, a Bidirectional and a model in the model as several.",
            received=count,
            expected=f"at most {MAX_LAYERS}",
        )
    elif class_name == "Sequential":
        checked["layers"] = _check_sequence(layers, here / "layers", check_object)
    else:
        checked |= check_graph(config, layers, here, check_object)
    return {"class_name": class_name, "config": checked}


def weight(layer: Any) -> int:
    """How many plain layers Keras could build in the time that it takes for this one, or for this model."""
    class_name = dialect.present_class(layer.get("class_name")) if isinstance(layer, dict) else None
    if class_name is None:
        return 1
    if catalogue.is_application(class_name):
        own = catalogue.kind("applications").classes[class_name].layers
    else:
        own = _WEIGHTS.get(class_name, 1)
    inner = sum(map(weight, _inside(layer)))
    copies = 2 if class_name == "Bidirectional" else 1
    nodes = layer.get("inbound_nodes")
    calls = len(nodes) if isinstance(nodes, list) else 1
    return max(1, calls) * (own + copies * inner)


def _inside(layer: Any) -> list[Any]:
    if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
        return []
    found = (layer["config"].get(argument) for argument in _INNER)
    return [one for value in found for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _check_fields(class_name: str, config: dict[str, Any], at: Pointer, check_object: CheckObject) -> dict[str, Any]:
    fields = _FIELDS[class_name]
    for key in (key for key in config if key not in fields | _IGNORED):
        (at / key).fault(
            FaultCode.UNKNOWN_FIELD,
            f"{class_name} has no field {key[:64]!r}." + did_you_mean(key, fields),
            expected="one of " + listed(sorted(fields)),
        )
    checked: dict[str, Any] = {}
    if config.get("name") is not None:
        checked["name"] = check_value(config["name"], _NAME, at / "name", check_object)
    trainable = config.get("trainable", True)
    if not isinstance(trainable, bool):
        (at / "trainable").fault(FaultCode.WRONG_TYPE, "Expected true or false.", trainable, "true or false")
    elif not trainable:
        checked["trainable"] = False
    return checked


# --- Sequential ----------------------------------------------------------------------------------------------------


def _check_sequence(layers: list[Any], at: Pointer, check_object: CheckObject) -> list[Any]:
    first, old = dialect.take_input(layers[0], at / 0)
    checked = [check_object(layer, "layers", at / i) for i, layer in enumerate([first, *layers[1:]])]
    for i, layer in enumerate(checked[1:], start=1):
        if is_input(layer):
            (at / i).fault(FaultCode.BAD_GRAPH, "An Input stands first in a Sequential, or nowhere.")
    check_unique_names(checked, at)
    if not old:
        return checked
    config = {one.becomes: _check_old_input(one, at / 0 / "config", check_object) for one in old}
    return [{"class_name": "InputLayer", "config": config}, *checked]


def _check_old_input(old: dialect.OldInput, at: Pointer, check_object: CheckObject) -> Any:
    """It is checked where it was written, not in the InputLayer that nobody wrote."""
    if isinstance(old.written, tuple):
        return [
            check_value(value, _AXIS, at / argument, check_object)
            for argument, value in zip(old.written, old.value, strict=True)
        ]
    schema = catalogue.kind("layers").classes["InputLayer"].properties[old.becomes]
    return check_value(old.value, schema, at / old.written, check_object)


# --- The shape of the whole model's input --------------------------------------------------------------------------


def input_shape(model: dict[str, Any]) -> tuple[list[int | None] | None, str] | None:
    """The shape of one sample as the model's InputLayer has it (None: any), and a pointer to it inside the model.

    None where the model has no InputLayer of its own.
    """
    layers = model["config"].get("layers", [])
    found = next(((i, layer) for i, layer in enumerate(layers) if is_input(layer)), None)
    if found is None:
        return None
    i, layer = found
    config = layer["config"]
    shape = config.get("shape")
    if shape is None and isinstance(config.get("batch_shape"), list):
        shape = config["batch_shape"][1:]
    return shape, f"/config/layers/{i}"


def with_input(model: dict[str, Any], shape: list[int | None], at: Pointer) -> dict[str, Any]:
    """A Sequential that does not say what goes in, with the shape that its data has, as `fit` would find it."""
    at.notice(NoticeCode.FILLED_IN, f"The model does not say what goes in; it is built for the data's shape {shape}.")
    first = {"class_name": "InputLayer", "config": {"shape": shape}}
    return {**model, "config": {**model["config"], "layers": [first, *model["config"]["layers"]]}}
