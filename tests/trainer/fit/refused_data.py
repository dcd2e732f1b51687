"""Arguments and data of `client.fit` that are refused, with the words for each."""

import numpy as np
import pandas as pd
import scipy.sparse
import tensorflow as tf

from tests.trainer.fit.own_code import (
    DATASET,
    LABELS,
    NO_TUPLE,
    NUMBER,
    TEXT,
    Call,
    X,
    Y,
    dense,
    fit,
    two,
    unbuilt,
)

DATA: dict[str, tuple[Call, str, str]] = {
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
