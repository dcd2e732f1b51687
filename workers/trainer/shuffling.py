"""Shuffles the samples of a job before Keras splits the last of them off to validate on."""

import keras
import numpy as np

from workers.keras_tools.npz import Array
from workers.trainer.data import Data, Samples


def shuffled(data: Data, seed: int) -> Data:
    """Return the data with its samples in an order that depends on their number and the seed alone.

    It is `numpy.random.default_rng(seed).permutation(n)`, so that a plain script can do the same.
    """
    order = np.random.default_rng(seed).permutation(len(data.train))

    def in_order(array: Array | None) -> Array | None:
        return None if array is None else array[order]

    parts = (data.train.x, data.train.y, data.train.weights)
    return Data(Samples(*(keras.tree.map_structure(in_order, part) for part in parts)), data.validation)
