from typing import Any

import pytest

from tests.unit.fitqueue.spec.checks.stored import examine, suspicions

ADAM = {"class_name": "Adam", "config": {"learning_rate": 0.01}}


def _callback(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def _stopping(**config: Any) -> dict[str, Any]:
    return _callback("EarlyStopping", **config)


def _plateau(**config: Any) -> dict[str, Any]:
    return _callback("ReduceLROnPlateau", **config)


def _checkpoint(**config: Any) -> dict[str, Any]:
    return _callback("ModelCheckpoint", filepath="{epoch}.keras", **config)


def _table(rate: float) -> dict[str, Any]:
    return _callback("LearningRateScheduler", schedule={"kind": "table", "rates": [[0, 0.1], [5, rate]]})


@pytest.mark.parametrize(
    ("callbacks", "pointer", "text"),
    [
        ([_stopping(monitor="val_accuracy", mode="min")], "0/config/mode", "takes a lower 'val_accuracy' for better"),
        ([_stopping(monitor="loss", mode="max")], "0/config/mode", "takes a higher 'loss' for better"),
        ([_plateau(monitor="val_loss", mode="max")], "0/config/mode", "takes a higher 'val_loss' for better"),
        ([_checkpoint(monitor="val_acc", mode="min", save_best_only=True)], "0/config/mode", "'val_accuracy'"),
        ([_stopping(patience=21)], "0/config/patience", "sees its monitor 20 times: it never ends"),
        ([_stopping(patience=500, restore_best_weights=True)], "0/config/patience", "waits for 500 epochs"),
        ([_stopping(patience=12, start_from_epoch=10)], "0/config/patience", "sees its monitor 10 times"),
        (
            [_stopping(patience=3), _plateau(patience=5)],
            "1/config/patience",
            "before ReduceLROnPlateau has waited for 5",
        ),
        ([_plateau(), _stopping(patience=3)], "0/config/patience", "before ReduceLROnPlateau has waited for 10"),
        ([_plateau(patience=2, min_lr=0.02)], "0/config/min_lr", "begins at 0.01, below this minimum"),
        ([_checkpoint(period=21)], "0/config/period", "saves after every 21 epochs, and the job has 20"),
        ([_table(3.0)], "0/config/schedule/rates", "With a learning rate of 3"),
    ],
)
def test_a_callback_that_does_not_do_what_was_meant(callbacks: list[Any], pointer: str, text: str) -> None:
    [(found, message)] = suspicions(examine({"callbacks": callbacks, "compile": {"optimizer": ADAM}}))
    assert found == f"/callbacks/{pointer}"
    assert text in message


@pytest.mark.parametrize("frequency", [5, [5, 10, 15, 20, 25]])
def test_a_monitor_that_is_logged_after_some_epochs_only(frequency: Any) -> None:
    def of(monitor: str, patience: int) -> list[Any]:
        callbacks = [_stopping(monitor=monitor, patience=patience)]
        return suspicions(examine({"callbacks": callbacks, "fit": {"validation_freq": frequency}}))

    [(pointer, message)] = of("val_loss", 5)
    assert pointer == "/callbacks/0/config/patience"
    assert "sees its monitor 4 times" in message
    assert of("val_loss", 4) == of("loss", 5) == []


@pytest.mark.parametrize(
    "callbacks",
    [
        [],
        [_stopping()],
        [_stopping(monitor="val_accuracy", mode="max", patience=5)],
        [_stopping(monitor="val_loss", mode="min", patience=20, restore_best_weights=True)],
        [_stopping(patience=10), _plateau(patience=3)],
        [
            _stopping(monitor="val_loss", min_delta=0.1, patience=2),
            _plateau(monitor="val_loss", factor=0.1, patience=2),
        ],
        [_stopping(monitor="loss", patience=3), _plateau(patience=5)],
        [_plateau(min_lr=0.01)],
        [_plateau(min_lr=1e-6)],
        [_plateau(min_lr=0.05), _table(0.5)],
        [_checkpoint(period=20)],
        [_checkpoint(monitor="val_loss", mode="max")],
    ],
)
def test_sound_callbacks(callbacks: list[Any]) -> None:
    assert suspicions(examine({"callbacks": callbacks, "compile": {"optimizer": ADAM}})) == []


DECAY = {"initial_learning_rate": 10.0, "decay_steps": 100, "decay_rate": 0.9}
PIECES = {"boundaries": [10], "values": [0.1, 10.0]}


def _optimizer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


@pytest.mark.parametrize(
    ("optimizer", "pointer"),
    [
        (_optimizer("Adam", learning_rate=10.0), "learning_rate"),
        (_optimizer("SGD", learning_rate=10), "learning_rate"),
        (_optimizer("SGD", learning_rate=_optimizer("ExponentialDecay", **DECAY)),
         "learning_rate/config/initial_learning_rate"),
        (_optimizer("SGD", learning_rate=_optimizer("PiecewiseConstantDecay", **PIECES)),
         "learning_rate/config/values"),
        (_optimizer("LossScaleOptimizer", inner_optimizer=_optimizer("Adam", learning_rate=10.0)),
         "inner_optimizer/config/learning_rate"),
    ],
)  # fmt: skip
def test_a_high_learning_rate(optimizer: dict[str, Any], pointer: str) -> None:
    [(found, message)] = suspicions(examine({"compile": {"optimizer": optimizer}}))
    assert found == f"/compile/optimizer/config/{pointer}"
    assert "With a learning rate of 10, the loss will probably grow" in message


@pytest.mark.parametrize(
    "optimizer",
    [
        "adam",
        _optimizer("Adadelta", learning_rate=1.0),
        _optimizer("SGD", learning_rate=_optimizer("ExponentialDecay", **{**DECAY, "initial_learning_rate": 0.1})),
        _optimizer("LossScaleOptimizer", inner_optimizer=_optimizer("Adam", learning_rate=0.01)),
    ],
    ids=str,
)
def test_a_usual_learning_rate(optimizer: Any) -> None:
    assert suspicions(examine({"compile": {"optimizer": optimizer}})) == []
