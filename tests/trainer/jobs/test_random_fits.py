"""Random models from the catalogue, as `client.fit` sends them: a job equals `model.fit` to the last bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import InvalidSpec
from fitqueue.fit.files import write_arrays
from fitqueue.fit.spec import PLACEHOLDER, FitCall, JobOptions, describe
from fitqueue.fit.weights import load_weights, save_weights
from fitqueue.model_states import states
from fitqueue.spec import parse_job
from fitqueue.states import Reason
from service import weights_upload
from tests.trainer.test_random_models import MODELS, SHAPES, create_layer

SAMPLES, SEED = 12, 5

OPTIMIZERS: list[Callable[[], keras.optimizers.Optimizer]] = [
    lambda: keras.optimizers.Adam(0.01),
    lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.5), momentum=0.9),
    lambda: keras.optimizers.RMSprop(0.003, use_ema=True, ema_overwrite_frequency=2),
    lambda: keras.optimizers.AdamW(0.01, clipnorm=1.0, gradient_accumulation_steps=2),
]


def model_of(shape: list[int], drawn: list[Any], optimizer: keras.optimizers.Optimizer) -> keras.Model:
    head = [keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input(shape), *(create_layer(layer, tuple) for layer in drawn), *head])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fits")


@pytest.mark.timeout(3600)
def test_a_job_equals_fit(folder: Path, train: Callable[..., Any]) -> None:
    counter, compared = iter(range(10**6)), []

    # Without shrinking: each smaller example would train, too.
    @settings(
        max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None,
        phases=[Phase.generate],
    )  # fmt: skip
    @given(SHAPES, MODELS, st.sampled_from(OPTIMIZERS), st.integers(1, SAMPLES), st.booleans())
    def equal(shape: list[int], drawn: list[Any], optimizer: Any, batch_size: int, shuffle: bool) -> None:
        keras.utils.set_random_seed(next(counter))
        try:
            model = model_of(shape, drawn, optimizer())
        except Exception:
            assume(False)
        rng = np.random.default_rng(1)
        x, y = rng.random((SAMPLES, *shape)), rng.random((SAMPLES, 1))
        call = FitCall(epochs=2, batch_size=batch_size, shuffle=shuffle)
        try:
            described = describe(model, x, y, None, (x[:5], y[:5]), call, JobOptions(seed=SEED))
        except InvalidSpec as error:
            event(f"refused: {error.errors[0].code}")
            return
        infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in described.arrays.items()}
        spec = parse_job(described.spec, lambda _: DatasetInfo(PLACEHOLDER, infos)).spec.to_json()
        data, weights = folder / "data.npz", folder / "initial.weights.h5"
        write_arrays(data, described.arrays)
        weights.unlink(missing_ok=True)
        options = save_weights(keras, model, weights)
        weights_upload.convert(weights, folder / "weights.npz", 100_000_000)

        keras.utils.set_random_seed(SEED)
        try:
            history = model.fit(
                x, y, epochs=2, batch_size=batch_size, shuffle=shuffle, validation_data=(x[:5], y[:5]), verbose=0
            ).history
        except Exception as error:
            event(f"fit fails: {type(error).__name__}")
            return
        variables = [*model.weights, *states(model)]
        expected = [variable.numpy() for variable in variables]

        trained = train(
            spec | {"initial_weights": {"dataset": "mine", **options}},
            dataset_path=str(data),
            initial_weights=str(folder / "weights.npz"),
        )
        assert trained.outcome.reason == Reason.COMPLETED, (trained.outcome, trained.lines)
        compared.append(described.spec)
        np.testing.assert_equal(trained.history, history)
        load_weights(keras, model, trained.path_of("last"), with_optimizer=False)
        for variable, values in zip(variables, expected, strict=True):
            np.testing.assert_array_equal(variable.numpy(), values, err_msg=variable.path)

    equal()
    assert len(compared) >= 10, "most models train"
