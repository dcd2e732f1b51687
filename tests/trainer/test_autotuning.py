"""No dataset that Keras makes of a job's arrays is autotuned. If a new Keras makes them elsewhere, this fails."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from workers.trainer.autotuning import turn_off_autotuning

EPOCHS = 2


@pytest.fixture
def autotuned_in_fit(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[bool | None]]:
    """Return a function that trains and validates, and returns what each iterated dataset says about autotuning."""
    monkeypatch.setattr(ArrayDataAdapter, "get_tf_dataset", ArrayDataAdapter.get_tf_dataset)  # is set back afterwards
    seen: list[bool | None] = []
    dataset_class = tf.data.Dataset
    iterate = dataset_class.__iter__

    def spy(dataset: tf.data.Dataset) -> object:
        seen.append(dataset.options().autotune.enabled)
        return iterate(dataset)

    monkeypatch.setattr(dataset_class, "__iter__", spy)

    def fit() -> list[bool | None]:
        seen.clear()
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        x = np.ones((20, 4), "float32")
        model.fit(x, x[:, :1], batch_size=8, epochs=EPOCHS, validation_split=0.5, verbose=0)
        return list(seen)

    return fit


def test_neither_training_nor_validation_is_autotuned(autotuned_in_fit: Callable[[], list[bool | None]]) -> None:
    assert False not in autotuned_in_fit()  # the spy sees Keras's own choice
    turn_off_autotuning()
    without = autotuned_in_fit()
    assert len(without) >= 2 * EPOCHS
    assert set(without) == {False}
