"""Jobs that start with stored weights: of another job with another head, and from files of Keras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.states import Reason
from service import weights_upload

STILL = {"class_name": "SGD", "config": {"learning_rate": 1e-12}}  # the weights stay the same
COMPILE = {"optimizer": STILL, "loss": "sparse_categorical_crossentropy"}


def model(head: str, units: int = 10) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.Flatten(),
            layers.Dense(6, name="hidden"),
            layers.BatchNormalization(name="normalized"),
            layers.Dense(units, activation="softmax", name=head),
        ]
    )


def weights_of(trained: Any, like: keras.Model) -> dict[str, list[Any]]:
    like.load_weights(trained.path_of("last"))
    return {layer.name: layer.get_weights() for layer in like.layers if layer.get_weights()}


def lines_of(trained: Any) -> str:
    assert trained.outcome.reason is Reason.COMPLETED, (trained.outcome, trained.lines)
    return "\n".join(trained.lines)


def test_a_job_fills_all_but_its_new_head(make_spec: Callable[..., Any], train: Callable[..., Any]) -> None:
    first = train(make_spec(model=model("head").to_json()))
    best = str(first.path_of("best"))
    expected = weights_of(first, model("head"))
    for options, head, units in (({"by_name": True}, "other", 12), ({"skip_mismatch": True}, "head", 12)):
        spec = make_spec(
            model=model(head, units).to_json(), compile=COMPILE, initial_weights={"job": "job_1", **options}
        )
        second = train(spec, initial_weights=best)
        lines = lines_of(second)
        assert "Filled with stored weights: 'hidden', 'normalized'." in lines
        assert f"Newly initialized: '{head}'." in lines
        np.testing.assert_allclose(
            weights_of(second, model(head, units))["hidden"][0], expected["hidden"][0], atol=1e-6
        )
    without = train(
        make_spec(model=model("head", 12).to_json(), initial_weights={"job": "job_1"}), initial_weights=best
    )
    assert without.outcome.reason is Reason.INVALID_MODEL
    assert "[6, 10]" in without.outcome.message


@pytest.mark.parametrize("ending", ["weights.h5", "keras", "h5"])
def test_a_job_starts_with_the_weights_in_a_file(
    ending: str, make_spec: Callable[..., Any], train: Callable[..., Any], tmp_path: Path
) -> None:
    source, npz = model("head"), tmp_path / "weights.npz"
    source.set_weights([np.random.default_rng(1).random(weight.shape) for weight in source.get_weights()])
    file = tmp_path / f"a.{ending}"
    source.save_weights(file) if ending == "weights.h5" else source.save(file)
    weights_upload.convert(file, npz, 10_000_000)
    spec = make_spec(
        model=model("other").to_json(),
        compile=COMPILE,
        initial_weights={"dataset": "mine", "by_name": True},
        fit={"epochs": 1, "batch_size": 512},
    )
    trained = train(spec, initial_weights=str(npz))
    assert "Filled with stored weights: 'hidden', 'normalized'." in lines_of(trained)
    kernel, bias = weights_of(trained, model("other"))["hidden"]
    np.testing.assert_allclose(kernel, source.get_layer("hidden").get_weights()[0], atol=1e-6)
    np.testing.assert_allclose(bias, source.get_layer("hidden").get_weights()[1], atol=1e-6)
