"""The shadow model: a second, uncompiled build of the model in training, from which checkpoints are saved.

A checkpoint is a copy of the weights at one moment, which takes some milliseconds. Another thread puts the copy into
the shadow model and saves that while training continues. Because the shadow model is not compiled, its files hold no
optimizer state, which would triple their size. A whole model still says how it was compiled.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras

from workers.trainer.checkpoints import WriteFailed


def make_shadow_model(build: Callable[[], keras.Model], model: keras.Model) -> keras.Model:
    """Return the model that `build` gives, on the CPU, with weights of the same shapes as those of `model`.

    Raises:
        WriteFailed: its weights have other shapes.
    """
    with _unchanged_random_state(), keras.device("cpu:0"):
        shadow = build()
        if not shadow.built:
            shadow.build(model.input_shape)
    shapes, shadow_shapes = ([tuple(weight.shape) for weight in built.weights] for built in (model, shadow))
    if shadow_shapes != shapes:
        raise WriteFailed(f"The model was built twice with different weights: {shapes}, then {shadow_shapes}.")
    return shadow


@contextmanager
def _unchanged_random_state() -> Iterator[None]:
    """Restore the state of Python's random generator: initializers draw seeds from it, and training must not notice."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
