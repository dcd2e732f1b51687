"""What `fit` gets of the data: the arrays as they are, or, for several replicas, batches that split evenly."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils

from fitqueue.spec import FitSpec
from workers.keras_tools.npz import Array, DataError
from workers.keras_tools.outputs import arrange_for_outputs, model_outputs
from workers.trainer import replicas
from workers.trainer.data import Data, Samples


def arranged(model: keras.Model, data: Data) -> Data:
    """Targets in the form of the model's outputs: where they are a list, or one, Keras finds none by its name.

    Raises:
        DataError: an output has no targets.
    """
    if not isinstance(data.train.y, dict):
        return data
    names = list(model_outputs(model))
    if set(names) != set(data.train.y):
        raise DataError(f"The model has the outputs {names}, and `data.y` has targets for {sorted(data.train.y)}.")
    validation = data.validation
    return Data(_arranged(model, data.train), _arranged(model, validation) if validation is not None else None)


def _arranged(model: keras.Model, samples: Samples) -> Samples:
    weights = samples.weights
    if isinstance(weights, dict):
        # What no weights are given for counts as it is.
        each = {str(name): weights.get(str(name), _ones(samples)) for name in model_outputs(model)}
        weights = arrange_for_outputs(model, each)
    assert isinstance(samples.y, dict)
    return Samples(samples.x, arrange_for_outputs(model, samples.y), weights)


def _ones(samples: Samples) -> Array:
    return np.ones(len(samples), "float32")


def arguments(data: Data, fit: FitSpec) -> dict[str, Any]:
    """The arguments of a plain script."""
    validation = data.validation
    return {
        "x": data.train.x,
        "y": data.train.y,
        "sample_weight": data.train.weights,
        "class_weight": _class_weight(fit),
        "batch_size": fit.batch_size,
        "shuffle": fit.shuffle,
        "validation_split": fit.validation_split,
        "validation_data": None if validation is None else _as_tuple(validation),
        "validation_batch_size": fit.validation_batch_size,
    }


def replicated(model: keras.Model, strategy: tf.distribute.Strategy, data: Data, fit: FitSpec) -> dict[str, Any]:
    """Arguments that mean the same, for a model over several replicas.

    Raises:
        DataError: the samples cannot be weighted as the job asks.
    """
    train, validation = _split(data, fit)
    train = _weighted(train, fit)
    replicas.spread(model, strategy, train)
    count = strategy.num_replicas_in_sync
    size = fit.validation_batch_size or fit.batch_size
    return {
        "x": replicas.batches(model, train, fit.batch_size, shuffle=fit.shuffle, replicas=count),
        "shuffle": False,  # the batches are
        "validation_data": None
        if validation is None
        else replicas.batches(model, validation, size, shuffle=False, replicas=count),
    }


def _class_weight(fit: FitSpec) -> dict[int, float] | None:
    return None if fit.class_weight is None else {int(label): weight for label, weight in fit.class_weight.items()}


def _as_tuple(samples: Samples) -> tuple[Any, ...]:
    parts = (samples.x, samples.y, samples.weights)
    return parts if samples.weights is not None else parts[:2]


def _split(data: Data, fit: FitSpec) -> tuple[Samples, Samples | None]:
    if not fit.validation_split or data.validation is not None:
        return data.train, data.validation
    whole = (data.train.x, data.train.y, data.train.weights)
    train, validation = array_slicing.train_validation_split(whole, validation_split=fit.validation_split)
    return Samples(*train), Samples(*validation)


def _weighted(samples: Samples, fit: FitSpec) -> Samples:
    """The samples with the weights that Keras gives them by their classes, or with their own, for each output."""
    weights = samples.weights
    if (class_weight := _class_weight(fit)) is not None:
        if weights is not None or isinstance(samples.y, dict | list):
            raise DataError("`class_weight` needs one array of targets, and no `sample_weight` beside it.")
        weights = data_adapter_utils.class_weight_to_sample_weights(samples.y, class_weight)
    if weights is not None and not isinstance(weights, dict | list):
        weights = keras.tree.map_structure(lambda _: weights, samples.y)
    return Samples(samples.x, samples.y, weights)
