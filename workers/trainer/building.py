"""Has Keras create the variables of the optimizer and the metrics before the first step.

Keras creates them in the first step. TensorFlow then traces the training function twice: once to create them, and once
more without. Created before, they have the same values, and the first step of a small model takes half the time.
"""

from contextlib import suppress
from typing import Any

import keras


def create_variables_early(model: keras.Model) -> None:
    """Make the next `fit` of a model on one device create all variables before its first step."""

    def build(iterator: Any = None, **_: Any) -> None:
        del model._maybe_symbolic_build  # once is enough, and validation calls it, too
        if not all(layer.built for layer in model._flatten_layers()):
            return  # Keras draws the initial weights in the first step
        # What fails here fails again in the first step, with the message that a plain script gets.
        with suppress(Exception):
            # Shapes and dtypes suffice. A batch would be drawn from the data, and would be missing from the training.
            model._symbolic_build(data_batch=iterator._get_iterator().element_spec)

    model._maybe_symbolic_build = build
