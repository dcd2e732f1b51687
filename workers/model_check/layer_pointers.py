"""Where the job says what a layer of the built model is."""

from typing import Any

import keras

from fitqueue.spec import KerasObject
from fitqueue.spec.keras_objects.graph import is_input
from fitqueue.spec.report import Pointer


def layer_pointer(spec: KerasObject, model: keras.Model, name: str, at: Pointer) -> Pointer:
    """The layer of this name, which the job may have left to Keras to give; else the model."""
    index = _index(spec, model, name)
    return at / "model" if index is None else at / "model" / "config" / "layers" / index


def width_pointer(spec: KerasObject, model: keras.Model, name: str, at: Pointer) -> Pointer:
    """The `units` of the last layer up to this one that has some, else the layer itself."""
    layers: list[dict[str, Any]] = spec.config.get("layers", [])
    last = _index(spec, model, name)
    if last is None:
        return at / "model"
    here = at / "model" / "config" / "layers"
    for i in range(last, -1, -1) if spec.class_name == "Sequential" else (last,):
        if "units" in layers[i]["config"]:
            return here / i / "config" / "units"
        if "layers" in layers[i]["config"]:
            return here / i
    return here / last


def _index(spec: KerasObject, model: keras.Model, name: str) -> int | None:
    layers: list[dict[str, Any]] = spec.config.get("layers", [])
    named = [i for i, layer in enumerate(layers) if layer["config"].get("name") == name]
    if named or spec.class_name != "Sequential":
        return named[0] if named else None
    # Keras leaves out the InputLayer.
    own = [i for i, layer in enumerate(layers) if not is_input(layer)]
    return next((i for i, layer in zip(own, model.layers, strict=False) if layer.name == name), None)
