"""A job goes on with a model that was trained elsewhere as `fit` does in that process, to the last bit."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from fitqueue.datasets import BUILTIN
from fitqueue.fit.weights import add_states
from fitqueue.model_states import states
from fitqueue.states import Reason
from service import weights_upload
from workers.keras_tools.training_state import copy_states

pytestmark = pytest.mark.timeout(1800)

L = keras.layers
Make = Callable[[], keras.Model]
LOSS = "sparse_categorical_crossentropy"
SEED = 11


def sequential(*layers: Any, **options: Any) -> keras.Model:
    head = [L.Flatten(), L.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input((8, 8), **options), *layers, *head])


def functional(build: Callable[[Any], Any]) -> keras.Model:
    inputs = keras.Input((8, 8))
    return keras.Model(inputs, L.Dense(10, activation="softmax")(L.Flatten()(build(inputs))))


def nested() -> keras.Model:
    inputs = keras.Input((8, 8))
    inner = keras.Model(inputs, L.Dropout(0.5)(L.Dense(6)(inputs)))
    return sequential(keras.Sequential([L.GaussianNoise(0.1), inner, L.Dropout(0.1)]), L.BatchNormalization())


def shared(inputs: Any) -> Any:
    dense, dropout = L.Dense(8), L.Dropout(0.4)
    return L.Concatenate()([dropout(dense(inputs)), dense(dropout(inputs)), L.Dropout(0.1)(inputs)])


IMAGE = (8, 8, 1)
MODELS: dict[str, Make] = {
    "random layers": lambda: sequential(
        L.Dropout(0.5), L.GaussianNoise(0.2), L.SpectralNormalization(L.Dense(5)), L.BatchNormalization(),
        L.SpatialDropout1D(0.2), L.GaussianDropout(0.2),
    ),
    "augmentation": lambda: sequential(L.Reshape(IMAGE), L.RandomFlip(), L.RandomRotation(0.2), L.RandomZoom(0.2)),
    "recurrent layers": lambda: sequential(
        L.LSTM(5, dropout=0.2, recurrent_dropout=0.3, return_sequences=True),
        L.Bidirectional(L.LSTM(4, dropout=0.2, recurrent_dropout=0.2, return_sequences=True)),
        L.RNN([L.LSTMCell(4, dropout=0.2), L.GRUCell(3, recurrent_dropout=0.2)]),
    ),
    "a recurrent state": lambda: sequential(L.LSTM(4, stateful=True, dropout=0.2), batch_size=64),
    "nested": nested,
    "shared layers": lambda: functional(shared),
    "attention": lambda: functional(lambda inputs: L.MultiHeadAttention(2, 4, dropout=0.3)(inputs, inputs)),
}  # fmt: skip
ADAM = {"class_name": "Adam", "config": {"learning_rate": 0.01}}
EMA = {"class_name": "Adam", "config": {"learning_rate": 0.01, "use_ema": True, "ema_overwrite_frequency": 5}}
MOMENTUM = {"class_name": "SGD", "config": {"learning_rate": 0.01, "momentum": 0.9}}
ACCUMULATING = {"class_name": "AdamW", "config": {"learning_rate": 0.01, "gradient_accumulation_steps": 3}}
RATE_SCHEDULE = {
    "module": "keras.optimizers.schedules",
    "class_name": "CosineDecay",
    "config": {"initial_learning_rate": 0.05, "decay_steps": 40},
}
SCHEDULED = {"class_name": "RMSprop", "config": {"learning_rate": RATE_SCHEDULE, "momentum": 0.5}}
CASES: dict[str, tuple[Make, dict[str, Any], str]] = {
    **{name: (make, ADAM, "float32") for name, make in MODELS.items()},
    "averages": (MODELS["random layers"], EMA, "float32"),
    "momentum": (MODELS["random layers"], MOMENTUM, "float32"),
    "accumulated gradients": (MODELS["random layers"], ACCUMULATING, "float32"),
    "a schedule": (MODELS["random layers"], SCHEDULED, "float32"),
    "a loss scale": (MODELS["random layers"], ADAM, "mixed_float16"),
}


class Saved:
    """A model that was trained in this process and saved: what a client has."""

    def __init__(self, folder: Path, make: Make, optimizer: dict[str, Any], policy: str, *, epochs: int = 1) -> None:
        folder.mkdir()
        self.folder, digits = folder, np.load(BUILTIN["digits"].path)
        keras.utils.set_random_seed(SEED)
        keras.config.set_dtype_policy(policy)
        try:
            self.model = make()
            self.model.compile(optimizer=keras.optimizers.deserialize(optimizer), loss=LOSS)
            if epochs:
                x, y = digits["x_train"][:256] * 0.0625, digits["y_train"][:256]
                self.model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
            else:
                self.model.optimizer.build(self.model.trainable_variables)
        finally:
            keras.config.set_dtype_policy("float32")
        self.file = folder / "a.weights.h5"
        self.model.save_weights(self.file)
        add_states(self.file, copy_states(self.model))
        np.savez(folder / "states.npz", *copy_states(self.model))
        self.json = folder / "model.json"
        self.json.write_text(self.model.to_json())
        compiled = {"optimizer": self.optimizer, "loss": LOSS, "dtype_policy": policy}
        (folder / "compile.json").write_text(json.dumps(compiled))

    @property
    def optimizer(self) -> dict[str, Any]:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        return json.loads(json.dumps(keras.optimizers.serialize(optimizer)))

    def upload(self) -> str:
        """Return the path of what the service keeps of the file."""
        weights_upload.convert(self.file, self.folder / "weights.npz", 10_000_000)
        return str(self.folder / "weights.npz")


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of the digits that these jobs train on."""
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    with np.load(BUILTIN["digits"].path) as archive:
        np.savez(path, x=archive["x_train"][:512], y=archive["y_train"][:512])
    return path


def spec_of(make_spec: Callable[..., Any], saved: Saved, policy: str, **fields: Any) -> Any:
    of_job: dict[str, Any] = {
        "model": json.loads(saved.json.read_text()),
        "compile": {"optimizer": saved.optimizer, "loss": LOSS, "dtype_policy": policy},
        "fit": {"epochs": 2, "batch_size": 64, "shuffle": False},
        "seed": SEED,
        "save_optimizer": True,
    }
    spec = make_spec(**of_job | fields)
    spec["data"] |= {"dataset": "mine", "x": "x", "y": "y"}
    return spec


def fresh_copy(saved: Saved, policy: str) -> keras.Model:
    """Return the same model, compiled, in this process, with other values."""
    keras.config.set_dtype_policy(policy)
    try:
        model = keras.models.model_from_json(saved.json.read_text())
        model.compile(optimizer=keras.optimizers.deserialize(saved.optimizer), loss=LOSS)
    finally:
        keras.config.set_dtype_policy("float32")
    model.optimizer.build(model.trainable_variables)
    return model


def load(model: keras.Model, file: Path) -> list[Any]:
    """Load what a job saved as a plain script can, and return all variables."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.load_weights(file)
    with h5py.File(file) as stored:
        for index, variable in enumerate(states(model)):
            variable.assign(stored[f"states/vars/{index}"][()])
    return [variable.numpy() for variable in [*model.weights, *states(model), *model.optimizer.variables]]


@pytest.fixture(scope="module")
def goes_on(
    digits: Path, run_plain: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Saved, list[float]]]:
    """Each case as it was saved, and the losses of a plain script that goes on from there."""
    folder = tmp_path_factory.mktemp("saved")
    saved = {case: Saved(folder / case.replace(" ", "-"), *CASES[case]) for case in CASES}
    losses = run_plain("goes_on.py", digits, 2, SEED, *(each.folder for each in saved.values()))
    return {case: (each, of_case) for (case, each), of_case in zip(saved.items(), losses, strict=True)}


@pytest.mark.parametrize("case", CASES)
def test_a_job_goes_on_as_fit_would(
    case: str,
    goes_on: dict[str, tuple[Saved, list[float]]],
    make_spec: Callable[..., Any],
    train: Callable[..., Any],
    digits: Path,
) -> None:
    (saved, losses), policy = goes_on[case], CASES[case][2]
    initial = {"dataset": "weights", "optimizer": True, "states": True}
    spec = spec_of(make_spec, saved, policy, initial_weights=initial)
    job = train(spec, dataset_path=str(digits), initial_weights=saved.upload())
    assert job.outcome.reason is Reason.COMPLETED, (job.outcome, job.lines)
    assert job.history["loss"] == losses
    assert_same_variables(saved, policy, job.path_of("last_with_optimizer"))


def assert_same_variables(saved: Saved, policy: str, file: Path) -> None:
    """Assert that a plain script loads from a file what the other one had in the end."""
    variables = load(fresh_copy(saved, policy), file)
    with np.load(saved.folder / "variables.npz") as expected:
        assert len(variables) == len(expected.files)
        for ours, name in zip(variables, expected.files, strict=True):
            np.testing.assert_array_equal(ours, expected[name])


@pytest.mark.parametrize("case", ["random layers", "a recurrent state", "a loss scale"])
def test_a_job_goes_on_from_the_end_of_another(
    case: str,
    goes_on: dict[str, tuple[Saved, list[float]]],
    make_spec: Callable[..., Any],
    train: Callable[..., Any],
    digits: Path,
) -> None:
    (saved, losses), policy = goes_on[case], CASES[case][2]
    initial: dict[str, Any] = {"dataset": "weights", "optimizer": True, "states": True}
    fit = {"epochs": 1, "batch_size": 64, "shuffle": False}
    first = train(
        spec_of(make_spec, saved, policy, fit=fit, initial_weights=initial),
        dataset_path=str(digits),
        initial_weights=saved.upload(),
    )
    initial = {"job": "job_1", "checkpoint": "last", "optimizer": True, "states": True}
    second = train(
        spec_of(make_spec, saved, policy, fit=fit, initial_weights=initial),
        dataset_path=str(digits),
        initial_weights=str(first.path_of("last_with_optimizer")),
    )
    assert [*first.history["loss"], *second.history["loss"]] == losses
    assert_same_variables(saved, policy, second.path_of("last_with_optimizer"))


def test_every_checkpoint_of_weights_has_the_states(
    goes_on: dict[str, tuple[Saved, list[float]]],
    make_spec: Callable[..., Any],
    train: Callable[..., Any],
    digits: Path,
) -> None:
    saved, _ = goes_on["random layers"]
    job = train(spec_of(make_spec, saved, "float32"), dataset_path=str(digits))
    with h5py.File(job.path_of("last")) as last, h5py.File(job.path_of("last_with_optimizer")) as whole:
        assert "optimizer" not in last
        assert len(last["states/vars"]) == len(states(saved.model)) == 4
        for name, state in last["states/vars"].items():
            np.testing.assert_array_equal(state[()], whole["states/vars"][name][()])
    assert [written.has_optimizer for written in job.checkpoints if "last" not in written.names][-1]


@pytest.mark.parametrize(
    ("options", "change", "words"),
    [
        ({"optimizer": True}, MOMENTUM, "those of the optimizer 'adam', and this job has 'sgd'"),
        ({"optimizer": True}, {**ADAM, "config": {"amsgrad": True}}, "14 variables are stored of the optimizer"),
    ],
)
def test_what_does_not_match_ends_the_job(
    options: dict[str, Any],
    change: dict[str, Any],
    words: str,
    goes_on: dict[str, tuple[Saved, list[float]]],
    make_spec: Callable[..., Any],
    train: Callable[..., Any],
    digits: Path,
) -> None:
    saved, _ = goes_on["random layers"]
    spec = spec_of(make_spec, saved, "float32", initial_weights={"dataset": "weights", **options})
    spec["compile"] |= {"optimizer": make_spec(compile={"optimizer": change, "loss": LOSS})["compile"]["optimizer"]}
    job = train(spec, dataset_path=str(digits), initial_weights=saved.upload())
    assert job.outcome.reason is Reason.INVALID_MODEL
    assert words in job.outcome.message
