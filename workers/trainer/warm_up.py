"""Warms Keras up in a child that waits for its job, so that building and tracing the job's model take less time.

The first model of a process costs more than the second: TensorFlow starts its runtime, and Keras and TensorFlow fill
their caches. A small model does that here. Afterwards, whatever could change a number or a name of the job is as in a
fresh process.
"""

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from keras.src.backend.common import global_state

from workers.shared.protocol import WarmUp
from workers.trainer.autotuning import turn_off_autotuning
from workers.trainer.building import create_variables_early
from workers.trainer.strategy import set_up_devices


def warm_up(command: WarmUp) -> None:
    """Set up the devices, and train a model of two weights."""
    with _nothing_printed(), _unchanged_random_state(), warnings.catch_warnings():
        set_up_devices(command)
        turn_off_autotuning()
        at_import = dict(vars(global_state.GLOBAL_STATE_TRACKER))
        _fit_small_model()
        # Names are counted, and Keras's settings are set, from the beginning again.
        keras.utils.clear_session(free_memory=False)
        for name, value in at_import.items():
            global_state.set_global_attribute(name, value)


def _fit_small_model() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    create_variables_early(model)
    samples = np.zeros((2, 1), "float32")
    model.fit(samples, samples, batch_size=1, verbose=0, validation_data=(samples, samples))


@contextmanager
def _unchanged_random_state() -> Iterator[None]:
    """Restore the random generators of Python and NumPy. TensorFlow's is seeded by each job."""
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Discard what TensorFlow prints when its runtime starts: the log is that of the job."""
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        yield
    finally:
        os.close(nowhere)
        for descriptor, original in zip((1, 2), kept, strict=True):
            os.dup2(original, descriptor)
            os.close(original)
