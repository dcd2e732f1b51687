"""Build the callbacks of a checked job as Keras has them."""

from typing import Any, Final

import keras

from fitqueue.spec import KerasObject, Template
from workers.keras_tools.objects import CLASSES, call_class

_OUR_ARGUMENTS: Final = frozenset({"period", "include_optimizer"})
"""Arguments of ModelCheckpoint that Keras does not have."""


def callback_arguments(callback: KerasObject) -> dict[str, Any]:
    """Return the arguments for the callback's Keras class: without ours, and with a `filepath` that Keras formats."""
    arguments = {name: value for name, value in callback.config.items() if name not in _OUR_ARGUMENTS}
    if "filepath" in arguments:
        arguments["filepath"] = Template.parse(arguments["filepath"]).keras_format()
    return arguments


def build_callback(callback: KerasObject) -> keras.callbacks.Callback:
    """Return the callback. A ModelCheckpoint that is built like this writes to the path that its template gives.

    Raises:
        ModelBuildError: Keras cannot create it.
    """
    cls = CLASSES["callbacks"][callback.class_name]
    return call_class(cls, callback_arguments(callback), "/callbacks", callback.class_name)
