"""The data in the form that `fit` gets: the arrays as they are or, for several replicas, batches that split evenly."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters import array_slicing

from fitqueue.spec import FitSpec, JobSpec
from workers.keras_tools.npz import Array, DataError
from workers.keras_tools.outputs import arrange_for_outputs, model_outputs
from workers.trainer import class_weights, replicas
from workers.trainer.data import Data, Samples


def with_class_weights(model: keras.Model, data: Data, spec: JobSpec) -> Data:
    """Return the data with class weights in its sample weights.

    Validation data has none. So it is split off before, and no longer by Keras.

    Raises:
        DataError: the samples cannot be weighted as the job says.
    """
    if spec.fit.class_weight is None:
        return data
    train, validation = _split(data, spec.fit)
    return Data(class_weights.with_class_weights(model, train, spec), validation)


def arrange_targets(model: keras.Model, data: Data) -> Data:
    """Return the data with its targets in the form of the model's outputs.

    Keras looks up targets by name only if the model returns its outputs as a dict.

    Raises:
        DataError: the names of the targets are not those of the outputs.
    """
    if not isinstance(data.train.y, dict):
        return data
    names = list(model_outputs(model))
    if set(names) != set(data.train.y):
        raise DataError(f"The model has the outputs {names}, but `data.y` has targets for {sorted(data.train.y)}.")
    validation = data.validation
    return Data(_arrange(model, data.train), _arrange(model, validation) if validation is not None else None)


def _arrange(model: keras.Model, samples: Samples) -> Samples:
    weights = samples.weights
    if isinstance(weights, dict):
        # An output without weights counts every sample once.
        complete = {str(name): weights.get(str(name), _ones(samples)) for name in model_outputs(model)}
        weights = arrange_for_outputs(model, complete)
    assert isinstance(samples.y, dict)
    return Samples(samples.x, arrange_for_outputs(model, samples.y), weights)


def _ones(samples: Samples) -> Array:
    return np.ones(len(samples), "float32")


def fit_arguments(data: Data, fit: FitSpec) -> dict[str, Any]:
    """Return the arguments of `fit` as a plain script passes them."""
    validation = data.validation
    return {
        "x": data.train.x,
        "y": data.train.y,
        "sample_weight": data.train.weights,
        "batch_size": fit.batch_size,
        "shuffle": fit.shuffle,
        "validation_split": fit.validation_split,
        "validation_data": None if validation is None else _as_tuple(validation),
        "validation_batch_size": fit.validation_batch_size,
    }


def trained_inputs(data: Data, fit: FitSpec) -> Any:
    """Return the inputs to train on, without those that `validation_split` splits off."""
    split = fit.validation_split if data.validation is None else 0.0
    samples = math.floor(len(data.train) * (1.0 - split))
    return keras.tree.map_structure(lambda array: array[:samples], data.train.x)


def replicated_fit_arguments(
    model: keras.Model, strategy: tf.distribute.Strategy, data: Data, fit: FitSpec
) -> dict[str, Any]:
    """Return arguments of `fit` that mean the same for a model with several replicas, and prepare the model."""
    train, validation = _split(data, fit)
    train = _with_weights_for_each_output(train)
    replicas.replicate(model, strategy, train)
    count = strategy.num_replicas_in_sync
    size = fit.validation_batch_size or fit.batch_size
    return {
        "x": replicas.make_batches(model, train, fit.batch_size, shuffle=fit.shuffle, replicas=count),
        "shuffle": False,  # the batches are shuffled already
        "validation_data": None
        if validation is None
        else replicas.make_batches(model, validation, size, shuffle=False, replicas=count),
    }


def _as_tuple(samples: Samples) -> tuple[Any, ...]:
    return (samples.x, samples.y) if samples.weights is None else (samples.x, samples.y, samples.weights)


def _split(data: Data, fit: FitSpec) -> tuple[Samples, Samples | None]:
    """Return what to train on and what to validate on, split as Keras would."""
    if not fit.validation_split or data.validation is not None:
        return data.train, data.validation
    arrays = (data.train.x, data.train.y, data.train.weights)
    train, validation = array_slicing.train_validation_split(arrays, validation_split=fit.validation_split)
    return Samples(*train), Samples(*validation)


def _with_weights_for_each_output(samples: Samples) -> Samples:
    weights = samples.weights
    if weights is not None and not isinstance(weights, dict | list):
        weights = keras.tree.map_structure(lambda _: weights, samples.y)
    return Samples(samples.x, samples.y, weights)
