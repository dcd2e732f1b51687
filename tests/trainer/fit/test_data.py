"""The arrays that are sent are those that Keras feeds, in its order and in its batches."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pandas as pd
import polars as pl
import pytest
import tensorflow as tf
import tf_keras
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from fitqueue.fit.spec import Described, FitCall, JobOptions, describe

X = np.random.default_rng(0).normal(size=(11, 4))
Y = X[:, :1] * 2
WEIGHTS = np.linspace(0.5, 1.5, 11)


def dense(framework: ModuleType = keras, seed: int = 3) -> Any:
    framework.utils.set_random_seed(seed)
    model = framework.Sequential([framework.Input((4,), name="a"), framework.layers.Dense(1, name="d")])
    model.compile("sgd", "mse")
    return model


def described(x: Any, y: Any = None, weights: Any = None, validation: Any = None, **arguments: Any) -> Described:
    return describe(dense(), x, y, weights, validation, FitCall(**arguments), JobOptions())


# --- Arrays --------------------------------------------------------------------------------------------------------

DTYPES = [
    "float16",
    "float32",
    "float64",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "bool",
]
KINDS: dict[str, Callable[[], Any]] = {
    **{dtype: (lambda dtype=dtype: (X * 3).astype(dtype)) for dtype in DTYPES},
    "a tensor": lambda: tf.constant(X),
    "a bfloat16 tensor": lambda: tf.cast(X, tf.bfloat16),
    "a frame": lambda: pd.DataFrame(X, columns=list("abcd")),
    "a mixed frame": lambda: pd.DataFrame({"a": X[:, 0], "b": range(11), "c": X[:, 2], "d": range(11)}),
    "a frame of whole numbers": lambda: pd.DataFrame({name: range(11) for name in "abcd"}),
    "a frame of polars": lambda: pl.DataFrame({name: X[:, index] for index, name in enumerate("abcd")}),
    "a Fortran array": lambda: np.asfortranarray(X),
    "every second sample": lambda: np.repeat(X, 2, axis=0)[::2],
}  # fmt: skip


def fed(x: Any, y: Any, weights: Any) -> Any:
    batches = list(ArrayDataAdapter(x, y, weights, batch_size=4).get_numpy_iterator())
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_keras_feeds(kind: str) -> None:
    x = KINDS[kind]()
    arrays = described(x, Y, WEIGHTS).arrays
    for array, expected in zip((arrays["x"], arrays["y"], arrays["sample_weight"]), fed(x, Y, WEIGHTS), strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("series", [pd.Series, pl.Series])
def test_a_series(series: Any) -> None:
    arrays = described(X, series(Y[:, 0]), series(WEIGHTS)).arrays
    expected = fed(X, pd.Series(Y[:, 0]), pd.Series(WEIGHTS))
    np.testing.assert_array_equal(arrays["y"], expected[1])
    np.testing.assert_array_equal(arrays["sample_weight"], expected[2])


@pytest.mark.parametrize(("floatx", "dtype"), [("float64", "float64"), ("float16", "float16")])
def test_floatx(floatx: str, dtype: str) -> None:
    keras.config.set_floatx(floatx)
    try:
        assert str(described(X, Y).arrays["x"].dtype) == dtype
    finally:
        keras.config.set_floatx("float32")


def test_lists() -> None:
    arrays = described(X.tolist(), Y.tolist(), validation=(X[:3].tolist(), Y[:3].tolist())).arrays
    np.testing.assert_array_equal(arrays["x"], X.astype("float32"))
    np.testing.assert_array_equal(arrays["val_y"], Y[:3].astype("float32"))


# --- Batches: the same history as with plain Keras ------------------------------------------------------------------


class Indexed(keras.utils.PyDataset):
    num_batches = 3

    def __getitem__(self, index: int) -> Any:
        return X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]


class OldIndexed(tf_keras.utils.Sequence):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]


def generator(times: int = 1) -> Iterator[Any]:
    for _ in range(times):
        for index in range(3):
            yield X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]


def slices(*parts: Any) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(parts)


BATCHED: dict[str, Callable[[], Any]] = {
    "a Dataset": lambda: slices(X, Y).batch(4),
    "with weights": lambda: slices(X, Y, WEIGHTS).batch(4),
    "a dict of inputs": lambda: slices({"a": X}, Y).batch(4),
    "without a rest": lambda: slices(X, Y).batch(4, drop_remainder=True).prefetch(2),
    "in another order": lambda: slices(X, Y).shuffle(11, seed=1, reshuffle_each_iteration=False).batch(3),
    "mapped": lambda: slices(X, Y).map(lambda x, y: (x * 2, y)).batch(5).cache(),
    "from a generator": lambda: tf.data.Dataset.from_generator(
        generator, output_signature=(tf.TensorSpec((None, 4)), tf.TensorSpec((None, 1)))
    ),
    "a PyDataset": Indexed,
}


def histories(framework: ModuleType, x: Any, job: Described, **arguments: Any) -> tuple[Any, Any]:
    """Return the history of the data itself, and that of the arrays that are sent, both by plain Keras."""
    plain = dense(framework).fit(x, epochs=3, verbose=0, **arguments).history
    weights = job.arrays.get("sample_weight")
    names = ("batch_size", "shuffle", "steps_per_epoch", "validation_batch_size", "validation_steps")
    fit = {name: job.spec["fit"][name] for name in names if name in job.spec["fit"]}
    if "val_x" in job.arrays:
        fit["validation_data"] = (job.arrays["val_x"], job.arrays["val_y"])
    arrays = dense(framework).fit(job.arrays["x"], job.arrays["y"], sample_weight=weights, epochs=3, verbose=0, **fit)
    return plain, arrays.history


@pytest.mark.parametrize("kind", BATCHED)
def test_the_same_history(kind: str) -> None:
    arguments = {"shuffle": False} if kind == "a PyDataset" else {}
    plain, arrays = histories(keras, BATCHED[kind](), described(BATCHED[kind](), **arguments), **arguments)
    assert plain == arrays


@pytest.mark.parametrize("make", [BATCHED["a Dataset"], OldIndexed])
def test_the_same_history_in_keras_2(make: Any) -> None:
    job = describe(dense(tf_keras), make(), None, None, None, FitCall(shuffle=False), JobOptions())
    plain, arrays = histories(tf_keras, make(), job, shuffle=False)
    assert plain == arrays


def test_a_part_of_the_steps() -> None:
    make = BATCHED["a Dataset"]
    plain, arrays = histories(keras, make(), described(make(), steps_per_epoch=2, epochs=3), steps_per_epoch=2)
    assert plain == arrays


def test_steps_of_what_has_no_end() -> None:
    arguments = {"steps_per_epoch": 2}
    for make in (lambda: slices(X, Y).batch(4).repeat(), lambda: generator(times=9)):
        job = described(make(), epochs=3, **arguments)
        assert job.spec["fit"]["batch_size"] == 4
        assert not job.spec["fit"]["shuffle"]
    even = slices(X[:8], Y[:8]).batch(4).repeat()
    plain, arrays = histories(keras, even, described(even, epochs=3, **arguments), **arguments)
    assert plain == arrays


def test_data_to_validate_on() -> None:
    make, other = BATCHED["a Dataset"], slices(X[:6], Y[:6]).batch(2)
    job = described(make(), validation=other, validation_steps=2)
    assert job.spec["fit"]["validation_batch_size"] == 2
    plain, arrays = histories(keras, make(), job, validation_data=other, validation_steps=2)
    assert plain == arrays


def test_a_shuffled_dataset_is_shuffled_in_the_job() -> None:
    job = described(slices(X, Y).shuffle(11).batch(4).prefetch(1))
    assert job.spec["fit"]["shuffle"] is True
    order = np.argsort(job.arrays["x"][:, 0])
    np.testing.assert_array_equal(job.arrays["x"][order], X[np.argsort(X[:, 0])].astype("float32"))
    assert described(Indexed()).spec["fit"]["shuffle"] is True  # as `fit` does by default


def test_what_is_said_of_batches() -> None:
    even, uneven = described(BATCHED["a Dataset"]()), described(slices(X, Y).batch(4).repeat(2))
    first = "Its {} batches were taken once: what it draws at random is the same in each epoch."
    assert [(notice.pointer, notice.message) for notice in even.notices] == [("/data/x", first.format(3))]
    assert [notice.message for notice in uneven.notices] == [
        first.format(6), "Its batches differ in size, and the job cuts the same samples into batches of 4.",
    ]  # fmt: skip
