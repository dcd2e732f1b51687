"""Calls of `client.fit` that are refused, each with the argument that is at fault and what to do instead."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
import scipy.sparse
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

REFUSED: dict[str, tuple[Call, str, str]] = {
    # Models and layers
    "a subclassed model": (
        lambda: {"model": compiled(OwnModel()), "x": X, "y": Y}, "/model", f"model: OwnModel {MODEL}",
    ),
    "an own train_step": (
        lambda: {"model": compiled(OwnStep((i := keras.Input((4,))), kl.Dense(1)(i))), "x": X, "y": Y},
        "/model", f"model: OwnStep {MODEL}",
    ),
    "a replaced train_step": (
        replaced, "/model",
        f"model: Its method train_step was replaced by a function of your own, which {ONLY_DATA} Use the model as "
        "Keras made it.",
    ),
    "an own layer": (
        layers(OwnLayer(name="l"), kl.Dense(1)), "/model/config/layers/1", f"model, layer 'l': OwnLayer {OWN} {LAYERS}",
    ),
    "a registered layer": (
        layers(Registered(name="l"), kl.Dense(1)), "/model/config/layers/1",
        f"model, layer 'l': Registered {OWN} {LAYERS}",
    ),
    "a layer with a base class of Keras": (
        layers(OwnDense(1, name="l")), "/model/config/layers/1", f"model, layer 'l': OwnDense {OWN} {LAYERS}",
    ),
    "an own layer of Keras 2": (
        old(OldLayer(name="l"), tf_keras.layers.Dense(1)), "/model/config/layers/1",
        f"model, layer 'l': OldLayer {OWN} {LAYERS}",
    ),
    "an own layer in a wrapper": (
        lambda: layers(kl.Reshape((2, 2)), kl.TimeDistributed(OwnLayer(name="l")), kl.Flatten(), kl.Dense(1))(),
        "/model/config/layers/2/config/layer", f"model, layer 'l': OwnLayer {OWN} {LAYERS}",
    ),
    "a Lambda": (
        layers(kl.Lambda(lambda x: x, name="l"), kl.Dense(1)), "/model/config/layers/1",
        "model, layer 'l': A Lambda layer is code, and only data can be sent. Use a layer that does the same, such as "
        "Rescaling for `x * 2.0` or Activation for a function of Keras.",
    ),
    "an operation": (
        functional(lambda x: kl.Dense(1)(keras.ops.sin(x))), "/model/config/layers/1",
        "model, layer 'sin': Operations on tensors are not supported. Use a layer that does the same as keras.ops' "
        "Sin, if there is one.",
    ),
    "an operator": (
        functional(lambda x: kl.Dense(1)(x**2)), "/model/config/layers/1",
        "model, layer 'power': Operations on tensors are not supported. Use a layer that does the same as keras.ops' "
        "Power, if there is one.",
    ),
    "a loss that is added to a model": (
        old_loss, "/model/config/layers/2",
        "model, layer 'add_loss': A loss or a metric that is added to a model is not sent. Make it an output of the "
        "model, with a loss or a metric in model.compile.",
    ),
    # Functions of layers
    "a lambda as an activation": (
        layers(kl.Dense(1, activation=lambda x: x, name="l")), "/model/config/layers/1/config/activation",
        f"model, layer 'l': A lambda {ONLY_DATA} {ACTIVATIONS}",
    ),
    "a function as an activation": (
        layers(kl.Dense(1, activation=mine, name="l")), "/model/config/layers/1/config/activation",
        f"model, layer 'l': The function 'mine' {ONLY_DATA} {ACTIVATIONS}",
    ),
    "a function with the name of an activation": (
        layers(kl.Dense(1, activation=relu, name="l")), "/model/config/layers/1/config/activation",
        f"model, layer 'l': The function 'relu' {ONLY_DATA} {ACTIVATIONS}",
    ),
    "an activation of a cell": (
        lambda: layers(kl.Reshape((2, 2)), kl.RNN(kl.LSTMCell(1, recurrent_activation=relu, name="l")))(),
        "/model/config/layers/2/config/cell/config/recurrent_activation",
        f"model, layer 'l': The function 'relu' {ONLY_DATA} {ACTIVATIONS}",
    ),
    "an activation of Keras 2": (
        old(tf_keras.layers.Dense(1, activation=lambda x: x, name="l")), "/model/config/layers/1/config/activation",
        f"model, layer 'l': A lambda {ONLY_DATA} {ACTIVATIONS}",
    ),
    "a lambda as an initializer": (
        layers(kl.Dense(1, kernel_initializer=lambda shape, dtype=None: keras.ops.ones(shape), name="l")),
        "/model/config/layers/1/config/kernel_initializer",
        f"model, layer 'l': A lambda {ONLY_DATA} {INITIALIZERS}",
    ),
    "a lambda as a regularizer": (
        layers(kl.Dense(1, bias_regularizer=lambda w: 0.0, name="l")), "/model/config/layers/1/config/bias_regularizer",
        f"model, layer 'l': A lambda {ONLY_DATA} Use one of Keras's regularizers, such as keras.regularizers.L2(0.01).",
    ),
    "a lambda as a constraint": (
        layers(kl.Dense(1, kernel_constraint=lambda w: w, name="l")),
        "/model/config/layers/1/config/kernel_constraint",
        f"model, layer 'l': A lambda {ONLY_DATA} {CONSTRAINTS}",
    ),
    # Compilation
    "a function as a loss": (
        dense(loss=mine), "/compile/loss", f"model.compile(loss=…): The function 'mine' {ONLY_DATA} {LOSSES}",
    ),
    "a lambda as a loss": (
        dense(loss=lambda y, p: y - p), "/compile/loss", f"model.compile(loss=…): A lambda {ONLY_DATA} {LOSSES}",
    ),
    "an own loss": (dense(loss=OwnLoss()), "/compile/loss", f"model.compile(loss=…): OwnLoss {OWN} {LOSSES}"),
    "a loss of one output": (
        lambda: {**two()(), "model": compiled(two()()["model"], loss={"d": "mse", "e": mine})}, "/compile/loss/e",
        f"model.compile(loss=…): The function 'mine' {ONLY_DATA} {LOSSES}",
    ),
    "a function as a metric": (
        dense(metrics=["mae", mine]), "/compile/metrics/1",
        f"model.compile(metrics=…): The function 'mine' {ONLY_DATA} {METRICS}",
    ),
    "a lambda as a weighted metric": (
        dense(weighted_metrics=[lambda y, p: y - p]), "/compile/weighted_metrics/0",
        f"model.compile(weighted_metrics=…): A lambda {ONLY_DATA} {METRICS}",
    ),
    "an own metric": (
        dense(metrics=[OwnMetric()]), "/compile/metrics/0", f"model.compile(metrics=…): OwnMetric {OWN} {METRICS}",
    ),
    "an own optimizer": (
        dense(optimizer=OwnSGD(0.1)), "/compile/optimizer",
        f"model.compile(optimizer=…): OwnSGD {OWN} Use one of Keras's optimizers.",
    ),
    "an own schedule": (
        dense(optimizer=keras.optimizers.SGD(OwnSchedule())), "/compile/optimizer/config/learning_rate",
        f"model.compile(optimizer=…): OwnSchedule {OWN} {RATES}",
    ),
    "a function as a rate": (
        dense(optimizer=keras.optimizers.SGD(lambda: 0.1)), "/compile/optimizer/config/learning_rate",
        f"model.compile(optimizer=…): A lambda {ONLY_DATA} {RATES}",
    ),
    "a rate of NaN": (
        dense(optimizer=keras.optimizers.SGD(float("nan"))), "/compile/optimizer/config/learning_rate",
        "model.compile(optimizer=…): nan is not a number that can be sent.",
    ),
    "steps that are not compiled": (
        dense(run_eagerly=True), "/compile/run_eagerly",
        "model.compile(run_eagerly=…): A job trains in compiled steps. Call model.compile without run_eagerly.",
    ),
    "a model that is not compiled": (
        uncompiled, "/compile",
        "model: The model is not compiled. Call model.compile(optimizer=…, loss=…) first, as for model.fit.",
    ),
    # Callbacks
    "an own callback": (
        fit(callbacks=[keras.callbacks.History(), OwnCallback()]), "/callbacks/0",
        f"callbacks[1] (OwnCallback): OwnCallback is a callback of your own, which {ONLY_DATA} {FOLLOW}",
    ),
    "a callback with a base class of Keras": (
        fit(callbacks=OwnStopping("loss")), "/callbacks/0",
        f"callbacks[0] (OwnStopping): OwnStopping is a callback of your own, which {ONLY_DATA} {FOLLOW}",
    ),
    "a LambdaCallback": (
        fit(callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=mine)]), "/callbacks/0",
        f"callbacks[0] (LambdaCallback): It runs Python code, and the service never runs users' code. {FOLLOW}",
    ),
    "a RemoteMonitor": (
        fit(callbacks=[keras.callbacks.RemoteMonitor()]), "/callbacks/0",
        "callbacks[0] (RemoteMonitor): It sends requests to an address in its config. Follow the job's events instead.",
    ),
    "no callback at all": (
        fit(callbacks=["EarlyStopping"]), "/callbacks/0",
        "callbacks[0] (str): Expected a callback of Keras, received 'EarlyStopping'.",
    ),
    "a schedule of the rate that fails": (
        fit(callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 1 / 0)]), "/callbacks/0/config/schedule",
        "callbacks[0] (LearningRateScheduler): Its function failed: ZeroDivisionError: division by zero",
    ),
    "a monitor that is not logged": (
        fit(callbacks=[keras.callbacks.EarlyStopping("los")]), "/callbacks/0/config/monitor",
        "callbacks[0] (EarlyStopping): The monitor 'los' is not logged. Did you mean 'loss'?",
    ),
    # Arguments of fit
    "an initial epoch": (
        fit(initial_epoch=3, epochs=5), "/fit/initial_epoch",
        "initial_epoch: A job begins with epoch 0. Extend a job, or train the model again, to go on from where it is.",
    ),
    "batches that are shuffled": (
        fit(shuffle="batch"), "/fit/shuffle", "shuffle: A job shuffles samples, and not batches. Give True or False.",
    ),
    "no epochs": (fit(epochs=0), "/fit/epochs", "epochs: Expected a number of at least 1."),
    "a batch size that is not whole": (fit(batch_size=4.5), "/fit/batch_size", "batch_size: Expected an integer."),
    "class weights as a list": (fit(class_weight=[1, 2]), "/fit/class_weight", "class_weight: Expected an object."),
    "a class weight that is not a number": (
        fit(class_weight={0: 1.0, 1: "two"}), "/fit/class_weight/1", "class_weight: Expected a number.",
    ),
    "a class weight of NaN": (
        fit(class_weight={0: 1.0, 1: np.nan}), "/fit/class_weight/1",
        "class_weight: nan is not a number that can be sent.",
    ),
    "a split of more than all": (
        fit(validation_split=1.5), "/fit/validation_split", "validation_split: Expected a number less than 1.0.",
    ),
    "epochs to validate that are not numbers": (
        fit(validation_data=(X, Y), validation_freq=["two"]), "/fit/validation_freq/0",
        "validation_freq: Expected an integer.",
    ),
    "fewer than no GPUs": (fit(gpus=-1), "/resources/gpus", "gpus: Expected a number of at least 0."),
    # Data
    "no data": (
        lambda: {"model": dense()()["model"], "y": Y}, "/data/x", "x: The field 'x' is missing.",
    ),
    "no targets": (lambda: {"model": dense()()["model"], "x": X}, "/data/y", "y: The field 'y' is missing."),
    "text": (fit(x=np.array([["a"] * 4] * 8)), "/data/x", f"x cannot be sent: {NUMBER}"),
    "objects": (
        fit(y=np.array([None] * 8, object)), "/data/y",
        "y cannot be sent: its values are objects (NoneType), and not numbers.",
    ),
    "rows of unequal lengths": (
        fit(x=[[1, 2], [1]]), "/data/x",
        "x cannot be sent: its rows have unequal lengths: use keras.utils.pad_sequences first.",
    ),
    "a ragged tensor": (
        fit(x=tf.ragged.constant([[1.0], [1.0, 2.0]])), "/data/x",
        "x cannot be sent: it is a RaggedTensor: convert it to a dense array first.",
    ),
    "a sparse tensor": (
        fit(x=tf.sparse.from_dense(X)), "/data/x",
        "x cannot be sent: it is a SparseTensor: convert it to a dense array first.",
    ),
    "a sparse matrix": (
        fit(x=scipy.sparse.csr_matrix(X)), "/data/x",
        "x cannot be sent: it is a sparse matrix: send `x.toarray()`.",
    ),
    "a column of text": (
        fit(x=pd.DataFrame({"a": [1.0], "b": ["x"]})), "/data/x",
        "x cannot be sent: its columns ['b'] are not numbers: leave them out, or encode them.",
    ),
    "samples of another shape": (
        fit(x=X[:, :3]), "/model/config/layers/0",
        "model, layer 'a': The model expects samples of shape [4], but the prepared data has [3].",
    ),
    "fewer targets than inputs": (
        fit(y=Y[:5]), "/data/y", "y: The job has 8 samples, but this array has 5.",
    ),
    "fewer weights than samples": (
        fit(sample_weight=np.ones(5)), "/data/sample_weight",
        "sample_weight: The job has 8 samples, but this array has 5.",
    ),
    "inputs under other names": (
        two(x={"a": X, "c": X}), "/data/x", "x has the keys ['a', 'c'], and the model needs ['a', 'b'].",
    ),
    "too few inputs": (two(x=[X]), "/data/x", "x: The model has 2 of them, ['a', 'b'], and x has 1."),
    "one array for two outputs": (
        two(y=Y), "/data/y", "y: The model has 2 of them, ['d', 'e'], and y has one array.",
    ),
    "a model that cannot be built for the data": (
        unbuilt, "/model",
        "model: Keras cannot build the model for x of the shape (8, 4): Input 0 with name 'None' of layer 'conv2d' is "
        "incompatible with the layer: expected min_ndim=4, found ndim=2. Full shape received: (None, 4)",
    ),
    # Data in batches
    "targets beside a Dataset": (
        fit(x=DATASET.batch(4)), "/data/y", "y: x yields its own y, as for model.fit: leave the argument y out.",
    ),
    "a Dataset without an end": (
        fit(x=DATASET.batch(4).repeat(), y=None), "/data/x",
        "x cannot be sent: It has no end. Leave .repeat() out: a job takes the data anew in each epoch.",
    ),
    "a Dataset of single samples": (
        fit(x=tf.data.Dataset.from_tensor_slices((X, LABELS)), y=None), "/data/x",
        "x cannot be sent: The arrays of a batch do not have the same number of samples. If it yields single samples, "
        "make batches: `x.batch(32)`.",
    ),
    "a Dataset of text": (fit(x=TEXT.batch(2), y=None), "/data/x", f"x cannot be sent: {NUMBER}"),
    "a split of a Dataset": (
        fit(x=DATASET.batch(4), y=None, validation_split=0.5), "/fit/validation_split",
        "validation_split: It takes its part of arrays, and x comes in batches. Give validation_data.",
    ),
    # Data to validate on
    "inputs alone to validate on": (fit(validation_data=X), "/data/validation", NO_TUPLE),
    "four parts to validate on": (fit(validation_data=(X, Y, Y, Y)), "/data/validation", NO_TUPLE),
    "text to validate on": (
        fit(validation_data=(np.array([["a"] * 4] * 8), Y)), "/data/validation/x",
        f"validation_data's x cannot be sent: {NUMBER}",
    ),
    "other samples to validate on": (
        fit(validation_data=(X[:, :2], Y)), "/data/validation/x",
        "validation_data: The samples to validate on and those to train on have different shapes.",
    ),
    "both data and a split to validate on": (
        fit(validation_data=(X, Y), validation_split=0.5), "/fit/validation_split",
        "validation_split: The job already names validation data in `data.validation`.",
    ),
}  # fmt: skip
