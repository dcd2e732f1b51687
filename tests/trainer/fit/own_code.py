"""Classes, functions and calls of `client.fit` that cannot be sent, and the words for them."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from keras import layers as kl

X = np.arange(32.0).reshape(8, 4) / 32
Y = X[:, :1]
LABELS = np.arange(8) % 2

Call = Callable[[], dict[str, Any]]
"""Returns the arguments of `client.fit`."""


# --- What is code ---------------------------------------------------------------------------------------------------


def mine(*values: Any) -> Any:
    return values[0]


def relu(x: Any) -> Any:
    """Has the name of one of Keras's activations, and is not it."""
    return x


class OwnModel(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = kl.Dense(1)

    def call(self, x: Any) -> Any:
        return self.dense(x)


class OwnStep(keras.Model):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class OwnLayer(kl.Layer):
    def call(self, x: Any) -> Any:
        return x


@keras.saving.register_keras_serializable("mine")
class Registered(kl.Layer):
    def call(self, x: Any) -> Any:
        return x


class OwnDense(kl.Dense): ...


class OwnLoss(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_true - y_pred


class OwnMetric(keras.metrics.Mean): ...


class OwnSGD(keras.optimizers.SGD): ...


class OwnSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step: Any) -> Any:
        return 0.1

    def get_config(self) -> dict[str, Any]:
        return {}


class OwnCallback(keras.callbacks.Callback): ...


class OwnStopping(keras.callbacks.EarlyStopping): ...


class OldLayer(tf_keras.layers.Layer): ...


# --- Calls ---------------------------------------------------------------------------------------------------------


def compiled(model: Any, **arguments: Any) -> Any:
    model.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})
    return model


def layers(*layers: Any) -> Call:
    return lambda: {"model": compiled(keras.Sequential([keras.Input((4,), name="a"), *layers])), "x": X, "y": Y}


def dense(fit: Any = None, **arguments: Any) -> Call:
    """Return a call with a valid model that is compiled with these arguments, and these arguments of `fit`."""
    return lambda: {"model": compiled(keras.Sequential([keras.Input((4,), name="a"), kl.Dense(1, name="d")]),
                                      **arguments), "x": X, "y": Y, **(fit or {})}  # fmt: skip


def fit(**arguments: Any) -> Call:
    return dense(arguments)


def functional(connect: Callable[[Any], Any]) -> Call:
    def call() -> dict[str, Any]:
        inputs = keras.Input((4,), name="a")
        return {"model": compiled(keras.Model(inputs, connect(inputs))), "x": X, "y": Y}

    return call


def replaced() -> dict[str, Any]:
    arguments = dense()()
    arguments["model"].train_step = mine
    return arguments


def old(*layers: Any, **arguments: Any) -> Call:
    return lambda: {
        "model": compiled(tf_keras.Sequential([tf_keras.Input((4,), name="a"), *layers]), **arguments), "x": X, "y": Y,
    }  # fmt: skip


def old_loss() -> dict[str, Any]:
    inputs = tf_keras.Input((4,), name="a")
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(1, name="d")(inputs))
    model.add_loss(model.output)
    return {"model": compiled(model), "x": X, "y": Y}


def two(**arguments: Any) -> Call:
    def call() -> dict[str, Any]:
        first, second = keras.Input((4,), name="a"), keras.Input((4,), name="b")
        outputs = [kl.Dense(1, name="d")(first), kl.Dense(1, name="e")(second)]
        return {"model": compiled(keras.Model([first, second], outputs)), "x": [X, X], "y": [Y, Y], **arguments}

    return call


def endless() -> Iterator[Any]:
    while True:
        yield X, Y


def uncompiled() -> dict[str, Any]:
    return {"model": keras.Sequential([keras.Input((4,)), kl.Dense(1)]), "x": X, "y": Y}


def unbuilt() -> dict[str, Any]:
    return {"model": compiled(keras.Sequential([kl.Conv2D(1, 3, name="conv2d")])), "x": X, "y": Y}


DATASET = tf.data.Dataset.from_tensor_slices((X, Y))
TEXT = tf.data.Dataset.from_tensor_slices((tf.constant(["a", "b"]), [0.0, 1.0]))

ONLY_DATA = "is code, and only data can be sent."
OWN = f"is a class of your own, which {ONLY_DATA}"
MODEL = (
    "is a class of your own: what its methods do is code, and only data can be sent. Build the model of layers, as a "
    "keras.Sequential or as keras.Model(inputs, outputs)."
)
LAYERS = "Use Keras's own layers."
ACTIVATIONS = 'Use one of Keras\'s activations by its name, such as "gelu".'
INITIALIZERS = "Use one of Keras's initializers, such as keras.initializers.HeNormal()."
CONSTRAINTS = "Use one of Keras's constraints, such as keras.constraints.MaxNorm(2.0)."
LOSSES = "Use one of Keras's losses, such as keras.losses.Huber()."
METRICS = "Use one of Keras's metrics, or compute yours afterwards on the model that comes back."
RATES = (
    "Use one of keras.optimizers.schedules, or a LearningRateScheduler, whose function is called here for each epoch."
)
FOLLOW = "Follow the job instead: by its metrics, events and checkpoints, or in `client.watch`."
NO_TUPLE = "validation_data is a tuple (x, y) or (x, y, sample_weight)."
NUMBER = "its values are text, and not numbers: encode them as numbers first."


def shared_between_models() -> dict[str, Any]:
    dense = keras.layers.Dense(4, name="middle")
    first, second = (keras.Sequential([keras.Input((4,)), dense], name=name) for name in ("first", "second"))
    return {"model": compiled(keras.Sequential([keras.Input((4,)), first, second])), "x": X, "y": Y}
