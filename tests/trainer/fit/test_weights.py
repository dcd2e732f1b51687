"""Models of both Kerases, saved and loaded with what training changes in them besides weights."""

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tf_keras

from fitqueue.client.training import check_restore
from fitqueue.fit.weights import load_weights, save_weights
from fitqueue.model_states import states

X, Y = np.ones((8, 4), "float32"), np.zeros((8, 1), "float32")


def make(framework: Any, *, has_dropout: bool = True) -> Any:
    layers = framework.layers
    inner = [layers.Dropout(0.5)] if has_dropout else []
    model = framework.Sequential([layers.Input((4,)), layers.Dense(3), *inner, layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def trained(framework: Any, **options: Any) -> Any:
    model = make(framework, **options)
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def values(variables: Any) -> list[Any]:
    return [np.array(variable) for variable in variables]


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_trained_model_comes_back_whole(tmp_path: Path) -> None:
    model, other = trained(keras), make(keras)
    options = save_weights(keras, model, tmp_path / "a.weights.h5")
    assert options == {"states": True, "optimizer": True}
    load_weights(keras, other, tmp_path / "a.weights.h5", with_optimizer=True)
    for part in (lambda m: m.weights, states, lambda m: m.optimizer.variables):
        for ours, theirs in zip(values(part(other)), values(part(model)), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("error::UserWarning")
def test_an_optimizer_that_is_not_in_the_file_is_left_alone(tmp_path: Path) -> None:
    model, other = make(keras), trained(keras)
    save_weights(keras, model, tmp_path / "a.weights.h5")
    load_weights(keras, other, tmp_path / "a.weights.h5", with_optimizer=False)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    assert int(other.optimizer.iterations) == 2


def test_what_is_not_there_is_not_promised(tmp_path: Path) -> None:
    assert save_weights(keras, make(keras), tmp_path / "a.weights.h5") == {"states": True}
    assert save_weights(keras, make(keras, has_dropout=False), tmp_path / "b.weights.h5") == {}
    assert save_weights(tf_keras, trained(tf_keras), tmp_path / "c.weights.h5") == {}


def test_weights_without_states_are_loaded(tmp_path: Path) -> None:
    model, other = trained(keras), make(keras)
    model.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as file:
        assert "states" not in file
    before = values(states(other))
    load_weights(keras, other, tmp_path / "a.weights.h5", with_optimizer=False)
    np.testing.assert_array_equal(values(states(other)), before)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_keras_2_loads_what_a_job_has_saved(tmp_path: Path) -> None:
    of_job, model = trained(keras), make(tf_keras)
    save_weights(keras, of_job, tmp_path / "a.weights.h5")
    load_weights(tf_keras, model, tmp_path / "a.weights.h5", with_optimizer=False)
    for ours, theirs in zip(model.get_weights(), of_job.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("framework", "restore", "message"),
    [
        (keras, "first", 'restore is "best", "last", "all" or None; received \'first\''),
        (tf_keras, "all", 'restore="all" needs a model of Keras 3'),
    ],
)
def test_a_restore_that_is_not_possible(framework: Any, restore: Any, message: str) -> None:
    with pytest.raises(ValueError, match="restore") as error:
        check_restore(framework, restore)
    assert message in str(error.value)


@pytest.mark.parametrize("restore", ["best", "last", "all", None])
def test_each_restore_of_keras_3(restore: Any) -> None:
    check_restore(keras, restore)
