"""The outputs of a model by name, and values for them in the form in which the model itself returns its outputs."""

from collections.abc import Mapping
from typing import Any

import keras


def model_outputs(model: keras.Model) -> dict[str | None, keras.KerasTensor]:
    """Return the outputs of a model under the names that Keras knows.

    The output of a Sequential has no name and is under None. A Sequential whose input shape is unknown has no outputs.
    """
    if isinstance(model, keras.Sequential):
        return {None: model.outputs[0]} if model._functional is not None else {}
    if isinstance(model.output, dict):
        return dict(model.output)
    return dict(zip(model.output_names, model.outputs, strict=True))


def arrange_for_outputs(model: keras.Model, values: Mapping[str, Any]) -> Any:
    """Return one value for each output in the form in which the model returns them: a single one, a list or a dict."""
    if isinstance(model.output, dict):
        return {name: values[name] for name in model.output}
    if isinstance(model.output, list | tuple):
        return [values[name] for name in model.output_names]
    return values[model.output_names[0]]
