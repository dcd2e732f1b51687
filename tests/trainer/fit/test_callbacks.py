"""Each callback of the catalogue, described and built again by Keras, equals the one that it was described from."""

from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

from fitqueue.fit.callbacks import describe_callbacks
from fitqueue.spec.findings import Findings, Pointer
from fitqueue.spec.keras_objects import catalogue

MONITORED: dict[str, tuple[Any, ...]] = {
    "monitor": ("loss", "val_accuracy", "val_acc"),
    "mode": ("min", "max"),
    "verbose": (1,),
    "patience": (0, 3),
    "min_delta": (0.25, 0, np.float32(0.5)),
}
# The required arguments of each callback, and other values of each argument.
VALUES: dict[str, tuple[dict[str, Any], dict[str, tuple[Any, ...]]]] = {
    "BackupAndRestore": ({"backup_dir": "backup"}, {"save_freq": (5,), "double_checkpoint": (True,),
                                                    "delete_checkpoint": (False,)}),
    "CSVLogger": ({"filename": "log.csv"}, {"separator": (";", "\t"), "append": (True,)}),
    "EarlyStopping": ({}, {**MONITORED, "baseline": (0.5, np.float64(0.25)), "restore_best_weights": (True,),
                           "start_from_epoch": (2,)}),
    "ModelCheckpoint": (
        {"filepath": "best.keras"},
        {**{name: values for name, values in MONITORED.items() if name not in ("patience", "min_delta")},
         "save_best_only": (True,), "save_freq": (7,), "initial_value_threshold": (0.5, 0.0, np.float32(0.25)),
         "period": (3,)},
    ),
    "ReduceLROnPlateau": ({}, {**MONITORED, "factor": (0.5,), "cooldown": (2,), "min_lr": (0.001,)}),
    "SwapEMAWeights": ({}, {"swap_on_epoch": (True,)}),
    "TensorBoard": (
        {},
        {"log_dir": ("runs",), "histogram_freq": (1,), "write_graph": (False,), "write_images": (True,),
         "write_steps_per_second": (True,), "update_freq": ("batch", 10), "profile_batch": (3, (2, 5), "2,5"),
         "embeddings_freq": (1,)},
    ),
    "TerminateOnNaN": ({}, {"raise_error": (True,)}),
}  # fmt: skip
ONLY_OURS = {("ModelCheckpoint", "include_optimizer"), ("TensorBoard", "embeddings_metadata")}
"""An argument that Keras does not have, and one that a job cannot have."""
ONLY_KERAS_3 = {"SwapEMAWeights", "double_checkpoint", "raise_error"}
ONLY_KERAS_2 = {"period"}


def cases() -> list[Any]:
    found = []
    for framework, left_out in ((keras, ONLY_KERAS_2), (tf_keras, ONLY_KERAS_3)):
        for name, (required, others) in VALUES.items():
            arguments = [{}, *({each: value} for each, values in others.items() for value in values)]
            found += [
                pytest.param(framework, name, required | argument, id=f"{framework.__name__}-{name}-{argument}")
                for argument in arguments
                if not left_out & {name, *argument}
            ]
    return found


def described(callback: Any, *, epochs: int = 1, rate: float | None = 0.1) -> dict[str, Any]:
    findings = Findings()
    result = describe_callbacks([callback], rate, epochs, Pointer(findings, "/callbacks"))
    assert not findings.faults
    return result.data[0]


def attributes(callback: Any) -> dict[str, Any]:
    values = dict(vars(callback))
    compare = values.pop("monitor_op", None)
    if compare is not None:  # Keras 2 decides once, by the mode and the name; it forgets or keeps the mode
        values.pop("mode", None)
        values["direction"] = (bool(compare(1.0, 5.0)), bool(compare(5.0, 1.0)))
    return {key: value for key, value in values.items() if not isinstance(value, FunctionType) and key != "_options"}


@pytest.mark.parametrize(("framework", "name", "arguments"), cases())
def test_the_same_attributes(framework: ModuleType, name: str, arguments: dict[str, Any]) -> None:
    cls = getattr(framework.callbacks, name)
    callback = cls(**arguments)
    data = described(callback)
    assert data["class_name"] == name
    assert attributes(cls(**data["config"])) == attributes(callback)


def test_every_callback_and_argument_is_tried() -> None:
    entries = catalogue.kind("callbacks").classes
    assert set(VALUES) == set(entries) - {"LearningRateScheduler"}
    for name, (required, others) in VALUES.items():
        missing = {(name, each) for each in set(entries[name].properties) - {*required, *others}}
        assert missing <= ONLY_OURS | {("ModelCheckpoint", "save_weights_only")}


@pytest.mark.parametrize("framework", [keras, tf_keras])
def test_weights_only(framework: ModuleType) -> None:
    callback = framework.callbacks.ModelCheckpoint("best.weights.h5", save_weights_only=True)
    config = described(callback)["config"]
    assert attributes(framework.callbacks.ModelCheckpoint(**config)) == attributes(callback)


# --- Callbacks that were used before --------------------------------------------------------------------------------


def trained(framework: ModuleType, callbacks: list[Any]) -> Any:
    framework.utils.set_random_seed(1)
    model = framework.Sequential([framework.Input((2,)), framework.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.arange(8.0).reshape(4, 2) / 8
    return model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize("framework", [keras, tf_keras])
@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
def test_a_callback_that_was_used_is_described_as_new(framework: ModuleType, name: str) -> None:
    arguments = {"monitor": "loss", "min_delta": 0.125, "patience": 4}
    used = getattr(framework.callbacks, name)(**arguments)
    before = described(used)
    trained(framework, [used])
    assert described(used) == before


@pytest.mark.parametrize("framework", [keras, tf_keras])
def test_a_checkpoint_goes_on_from_its_best_value(framework: ModuleType, tmp_path: Any) -> None:
    """So does Keras, if the callback is given to another `fit`."""
    used = framework.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), monitor="loss", save_best_only=True)
    assert "initial_value_threshold" not in described(used)["config"]
    history = trained(framework, [used])
    assert described(used)["config"]["initial_value_threshold"] == pytest.approx(min(history.history["loss"]))


# --- LearningRateScheduler -----------------------------------------------------------------------------------------


def rates_of(framework: ModuleType, schedule: Any, epochs: int, rate: float = 0.1) -> list[float]:
    """Return the rates that Keras itself sets."""
    model = framework.Sequential([framework.Input((1,)), framework.layers.Dense(1)])
    model.compile(framework.optimizers.SGD(rate), "mse")
    callback = framework.callbacks.LearningRateScheduler(schedule)
    history = model.fit(np.ones((1, 1)), np.ones((1, 1)), epochs=epochs, verbose=0, callbacks=[callback])
    return [float(value) for value in history.history["learning_rate" if framework is keras else "lr"]]


SCHEDULES = {
    "of the epoch": lambda epoch: 0.5 / (epoch + 1),
    "of the epoch and the rate": lambda epoch, lr: lr if epoch < 2 else lr * 0.9,
    "constant": lambda epoch, lr: 0.25,
    "with a default": lambda epoch, lr=0.5: lr * 0.5,
    "NumPy": lambda epoch, lr: np.float32(lr) * np.float32(0.7),
}


@pytest.mark.parametrize("framework", [keras, tf_keras])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_has_the_rates_of_keras(framework: ModuleType, name: str) -> None:
    callback = framework.callbacks.LearningRateScheduler(SCHEDULES[name], verbose=1)
    config = described(callback, epochs=5)["config"]
    assert config["verbose"] == 1
    table = dict(config["schedule"]["rates"])
    rates, rate = [], None
    for epoch in range(5):
        rate = table.get(epoch, rate)
        rates.append(float(np.float32(rate)))
    assert rates == rates_of(framework, SCHEDULES[name], 5)


def test_a_rate_that_stays_is_one_pair() -> None:
    callback = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 if epoch < 15_000 else 0.25)
    assert described(callback, epochs=20_000)["config"]["schedule"] == {
        "kind": "table", "rates": [[0, 0.5], [15_000, 0.25]],
    }  # fmt: skip


def with_type_error(epoch: int, lr: float) -> float:
    return lr + "text"  # type: ignore[operator]


def failing(epoch: int) -> float:
    raise KeyError(epoch)


FAILING = "a function of the epoch, or of the epoch and rate"


@pytest.mark.parametrize(
    ("schedule", "rate", "epochs", "code", "message"),
    [
        (failing, 0.1, 2, "refused_by_keras", "Its function failed: KeyError: 0"),
        (with_type_error, 0.1, 2, "refused_by_keras",
         "Its function failed: TypeError: unsupported operand type(s) for +: 'float' and 'str'"),
        (lambda epoch: None, 0.1, 2, "refused_by_keras",
         "Its function failed: TypeError: float() argument must be a string or a real number, not 'NoneType'"),
        (lambda epoch: float("nan") if epoch else 0.1, 0.1, 2, "refused_by_keras",
         "Its function failed: ValueError: it returned nan for epoch 1"),
        (lambda epoch: 1 / (epoch + 1), 0.1, 20_000, "too_large",
         "The rate changes in 20000 epochs, and at most 10000 changes can be sent. Use a schedule of "
         "keras.optimizers.schedules as the optimizer's rate."),
        (lambda epoch: 0.1, None, 2, "conflict",
         "A LearningRateScheduler cannot change a rate that follows a schedule of the optimizer."),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_be_sent(schedule: Any, rate: Any, epochs: int, code: str, message: str) -> None:
    findings = Findings()
    callback = keras.callbacks.LearningRateScheduler(schedule)
    result = describe_callbacks([callback], rate, epochs, Pointer(findings, "/callbacks"))
    assert [(fault.code, fault.message) for fault in findings.faults] == [(code, message)]
    assert result.code == ["/callbacks/0"]


# --- Lists of callbacks ---------------------------------------------------------------------------------------------


def test_lists_as_keras_takes_them() -> None:
    stop, nan = keras.callbacks.EarlyStopping(), keras.callbacks.TerminateOnNaN()
    pointer = Pointer(Findings(), "/callbacks")
    for callbacks in ([stop, nan], (stop, [nan]), keras.callbacks.CallbackList([stop, nan])):
        classes = [data["class_name"] for data in describe_callbacks(callbacks, 0.1, 1, pointer).data]
        assert classes == ["EarlyStopping", "TerminateOnNaN"]
    assert len(describe_callbacks(stop, 0.1, 1, pointer).data) == 1
    assert describe_callbacks(None, 0.1, 1, pointer).data == []


def test_labels_are_places_in_the_users_list() -> None:
    callbacks = [keras.callbacks.History(), keras.callbacks.EarlyStopping()]
    assert describe_callbacks(callbacks, 0.1, 1, Pointer(Findings())).labels == ["callbacks[1] (EarlyStopping)"]


@pytest.mark.parametrize(
    ("path", "sent", "folder"),
    [
        ("best.keras", "best.keras", None),
        ("models/best.keras", "best.keras", "models"),
        (Path("/tmp") / "a" / "{epoch:02d}.weights.h5", "{epoch:02d}.weights.h5", "/tmp/a"),
        ("{epoch}/a.keras", "{epoch}/a.keras", None),
    ],
)
def test_a_checkpoint_has_no_folder(path: Any, sent: str, folder: str | None) -> None:
    findings = Findings()
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_weights_only=str(path).endswith("weights.h5"))
    [described] = describe_callbacks([checkpoint], 0.1, 1, Pointer(findings) / "callbacks").data
    assert described["config"]["filepath"] == sent
    assert [notice.message.rpartition(":")[0] for notice in findings.notices] == (
        [] if folder is None else [f"The checkpoint {sent!r} becomes a file of the job, and not one in {folder!r}"]
    )
