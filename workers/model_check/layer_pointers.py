"""Map the layers of the built model to JSON pointers into the job."""

from typing import Any

import keras

from fitqueue.spec import KerasObject
from fitqueue.spec.findings import Pointer
from fitqueue.spec.keras_objects.graph import is_input


def layer_pointer(spec: KerasObject, model: keras.Model, name: str, pointer: Pointer) -> Pointer:
    """Return the pointer to the layer with this name, which Keras may have given it, or to the model if there is none.

    Args:
        pointer: to the job.
    """
    index = _index(spec, model, name)
    return pointer / "model" if index is None else pointer / "model" / "config" / "layers" / index


def width_pointer(spec: KerasObject, model: keras.Model, name: str, pointer: Pointer) -> Pointer:
    """Return the pointer to the `units` that decide the width of a layer's output; without any, to the layer itself.

    In a Sequential, these may be those of a layer before it.

    Args:
        pointer: to the job.
    """
    layers: list[dict[str, Any]] = spec.config.get("layers", [])
    last = _index(spec, model, name)
    if last is None:
        return pointer / "model"
    layers_pointer = pointer / "model" / "config" / "layers"
    for i in range(last, -1, -1) if spec.class_name == "Sequential" else (last,):
        if "units" in layers[i]["config"]:
            return layers_pointer / i / "config" / "units"
        if "layers" in layers[i]["config"]:
            return layers_pointer / i
    return layers_pointer / last


def _index(spec: KerasObject, model: keras.Model, name: str) -> int | None:
    layers: list[dict[str, Any]] = spec.config.get("layers", [])
    indices = [i for i, layer in enumerate(layers) if layer["config"].get("name") == name]
    if indices or spec.class_name != "Sequential":
        return indices[0] if indices else None
    # The layers of a built Sequential do not include its InputLayer.
    without_input = [i for i, layer in enumerate(layers) if not is_input(layer)]
    return next((i for i, layer in zip(without_input, model.layers, strict=False) if layer.name == name), None)
