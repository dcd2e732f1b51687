"""Models, compilations and callbacks that are refused, with the words for each."""

import keras
import tf_keras
from keras import layers as kl

from tests.trainer.fit.own_code import (
    ACTIVATIONS,
    CONSTRAINTS,
    FOLLOW,
    INITIALIZERS,
    LAYERS,
    LOSSES,
    METRICS,
    MODEL,
    ONLY_DATA,
    OWN,
    RATES,
    Call,
    OldLayer,
    OwnCallback,
    OwnDense,
    OwnLayer,
    OwnLoss,
    OwnMetric,
    OwnModel,
    OwnSchedule,
    OwnSGD,
    OwnStep,
    OwnStopping,
    Registered,
    X,
    Y,
    compiled,
    dense,
    fit,
    functional,
    layers,
    mine,
    old,
    old_loss,
    relu,
    replaced,
    shared_between_models,
    two,
    uncompiled,
)

CODE: dict[str, tuple[Call, str, str]] = {
    # Models and layers
    "a subclassed model": (
        lambda: {"model": compiled(OwnModel()), "x": X, "y": Y}, "/model", f"model: OwnModel {MODEL}",
    ),
    "an own train_step": (
        lambda: {"model": compiled(OwnStep((i := keras.Input((4,))), kl.Dense(1)(i))), "x": X, "y": Y},
        "/model", f"model: OwnStep {MODEL}",
    ),
    "a layer in two models": (
        shared_between_models, "/model",
        "model: The layer 'middle' is in 'first' and in 'second', which share its weights. Keras writes it into JSON "
        "as two layers with weights of their own. Use each layer in one model only.",
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
}  # fmt: skip
