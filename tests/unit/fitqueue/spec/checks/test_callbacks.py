from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob

Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]
FindFaults = Callable[[Any], list[Fault]]


def _job(cnn: dict[str, Any], *callbacks: tuple[str, dict[str, Any]], validated: bool = True) -> dict[str, Any]:
    if not validated:
        del cnn["data"]["validation"]
    return cnn | {"callbacks": [{"class_name": name, "config": config} for name, config in callbacks]}


def _checkpoint(filepath: str, **config: Any) -> tuple[str, dict[str, Any]]:
    return "ModelCheckpoint", {"filepath": filepath, **config}


def test_every_documented_argument_is_accepted(cnn: dict[str, Any], parse: Parse) -> None:
    parsed = parse(
        _job(
            cnn,
            (
                "ReduceLROnPlateau",
                {"monitor": "val_loss", "factor": 0.2, "patience": 5, "verbose": 0, "mode": "auto", "epsilon": 0.0001,
                 "cooldown": 0, "min_lr": 0.001},
            ),
            ("EarlyStopping", {"monitor": "val_loss", "min_delta": 0, "patience": 0, "verbose": 0, "mode": "auto"}),
            _checkpoint(
                "{epoch:02d}-{val_loss:.2f}.hdf5", monitor="val_loss", verbose=1, save_best_only=True,
                save_weights_only=False, mode="auto", period=2,
            ),
        )
    )  # fmt: skip
    assert parsed.spec.callbacks[2].config == {
        "filepath": "{epoch:02d}-{val_loss:.2f}.keras",
        "monitor": "val_loss",
        "verbose": 1,
        "save_best_only": True,
        "save_weights_only": False,
        "mode": "auto",
        "save_freq": "epoch",
        "initial_value_threshold": None,
        "period": 2,
        "include_optimizer": False,
    }


def test_a_validation_monitor_needs_validation_data(cnn: dict[str, Any], only_fault: FindFault) -> None:
    fault = only_fault(_job(cnn, ("EarlyStopping", {}), validated=False))
    assert (fault.pointer, fault.code) == ("/callbacks/0/config/monitor", "not_logged")
    assert "no validation data" in fault.message
    assert fault.expected == "one of 'loss', 'accuracy'"


@pytest.mark.parametrize("monitor", ["val_auc", "lr", "learning_rate", "", "x" * 100])
def test_a_monitor_that_is_not_logged(monitor: str, cnn: dict[str, Any], only_fault: FindFault) -> None:
    fault = only_fault(_job(cnn, ("EarlyStopping", {"monitor": monitor, "mode": "min"})))
    assert (fault.pointer, fault.code) == ("/callbacks/0/config/monitor", "not_logged")
    assert "'val_accuracy'" in str(fault.expected)


def test_reduce_lr_on_plateau_logs_the_learning_rate_for_later_callbacks(
    cnn: dict[str, Any], only_fault: FindFault, parse: Parse
) -> None:
    stop = ("EarlyStopping", {"monitor": "learning_rate", "mode": "min"})
    assert parse(_job(cnn, ("ReduceLROnPlateau", {}), stop)).spec.logged_names[-1] == "learning_rate"
    assert only_fault(_job(cnn, stop, ("ReduceLROnPlateau", {}))).pointer == "/callbacks/0/config/monitor"


def test_validation_split_provides_validation_data(cnn: dict[str, Any], parse: Parse) -> None:
    job = _job(cnn, ("EarlyStopping", {}), validated=False)
    job["fit"]["validation_split"] = 0.1
    assert "val_loss" in parse(job).spec.logged_names


def test_a_metric_without_a_known_direction_needs_a_mode(
    cnn: dict[str, Any], only_fault: FindFault, parse: Parse
) -> None:
    cnn["compile"]["metrics"] = ["TruePositives"]
    fault = only_fault(_job(cnn, ("EarlyStopping", {"monitor": "TruePositives"})))
    assert (fault.pointer, fault.code) == ("/callbacks/0/config/mode", "missing")
    parse(_job(cnn, ("EarlyStopping", {"monitor": "TruePositives", "mode": "max"})))


def test_a_checkpoint_that_always_saves_needs_no_monitor(cnn: dict[str, Any], parse: Parse) -> None:
    parse(_job(cnn, _checkpoint("{epoch}.keras"), validated=False))


@pytest.mark.parametrize("save_freq", ["epoch", 10])
@pytest.mark.parametrize(
    ("monitor", "logged", "notices"),
    [
        ("val_accuracy", "val_accuracy", []),
        ("val_acc", "val_accuracy", ["translated"]),
        ("accuracy", "accuracy", []),
        ("val_loss", "val_loss", []),
    ],
)
def test_a_monitor_that_is_not_used_may_be_logged_at_the_end_of_epochs_only(
    save_freq: Any, monitor: str, logged: str, notices: list[str], cnn: dict[str, Any], parse: Parse
) -> None:
    parsed = parse(_job(cnn, _checkpoint("{epoch}.keras", save_freq=save_freq, monitor=monitor)))
    assert parsed.spec.callbacks[0].config["monitor"] == logged
    assert [notice.code for notice in parsed.notices] == notices


@pytest.mark.parametrize("save_freq", ["epoch", 10])
def test_a_monitor_that_is_used_must_be_logged_when_it_is_read(
    save_freq: Any, cnn: dict[str, Any], find_faults: FindFaults
) -> None:
    callback = _checkpoint("{epoch}.keras", save_freq=save_freq, monitor="val_accuracy", save_best_only=True)
    pointers = [fault.pointer for fault in find_faults(_job(cnn, callback))]
    assert pointers == ([] if save_freq == "epoch" else ["/callbacks/0/config/monitor"])


@pytest.mark.parametrize("config", [{}, {"save_freq": 10}])
def test_a_misspelled_monitor_that_is_not_used_gets_a_notice(
    config: dict[str, Any], cnn: dict[str, Any], parse: Parse
) -> None:
    [notice] = parse(_job(cnn, _checkpoint("{epoch}.keras", monitor="val_accuracyy", **config))).notices
    assert (notice.pointer, notice.code) == ("/callbacks/0/config/monitor", "suspicious")
    assert "Did you mean 'val_accuracy'?" in notice.message


@pytest.mark.parametrize(
    ("filepath", "config", "code"),
    [
        ("../{epoch}.keras", {}, "bad_template"),
        ("/tmp/{epoch}.keras", {}, "bad_template"),
        ("{epoch.__class__}.keras", {}, "bad_template"),
        ("{epoch}.ckpt", {}, "bad_template"),
        (".keras", {}, "bad_template"),
        ("{epoch}.keras", {"save_weights_only": True}, "bad_template"),
        ("{epoch}-{val_auc:.2f}.keras", {}, "not_logged"),
        ("{batch}.keras", {}, "not_logged"),
        ("{val_loss:.2f}.keras", {"save_freq": 10}, "not_logged"),
    ],
)
def test_invalid_filepaths(
    filepath: str, config: dict[str, Any], code: str, cnn: dict[str, Any], only_fault: FindFault
) -> None:
    fault = only_fault(_job(cnn, _checkpoint(filepath, **config)))
    assert (fault.pointer, fault.code) == ("/callbacks/0/config/filepath", code)


def test_all_faults_of_a_checkpoint_are_reported(cnn: dict[str, Any], find_faults: FindFaults) -> None:
    faults = find_faults(_job(cnn, _checkpoint("{a}-{b}.keras", monitor="c", save_best_only=True)))
    assert [fault.received for fault in faults] == ["c", "a", "b"]


def test_batch_is_a_field_if_checkpoints_follow_batches(cnn: dict[str, Any], parse: Parse) -> None:
    parse(_job(cnn, _checkpoint("{epoch}-{batch}-{loss:.3f}.keras", save_freq=10)))


def test_period_and_save_freq_conflict(cnn: dict[str, Any], only_fault: FindFault) -> None:
    fault = only_fault(_job(cnn, _checkpoint("{batch}.keras", save_freq=10, period=2)))
    assert (fault.pointer, fault.code) == ("/callbacks/0/config/period", "conflict")


def test_a_callback_cannot_set_a_learning_rate_with_a_schedule(cnn: dict[str, Any], only_fault: FindFault) -> None:
    schedule = {"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 10}}
    cnn["compile"]["optimizer"] = {"class_name": "SGD", "config": {"learning_rate": schedule}}
    assert only_fault(_job(cnn, ("ReduceLROnPlateau", {}))).code == "conflict"
    table = {"schedule": {"kind": "table", "rates": [[0, 0.1]]}}
    assert only_fault(_job(cnn, ("LearningRateScheduler", table))).code == "conflict"


def test_swap_ema_weights_needs_moving_averages(cnn: dict[str, Any], only_fault: FindFault, parse: Parse) -> None:
    job = _job(cnn, ("SwapEMAWeights", {}))
    assert (only_fault(job).pointer, only_fault(job).code) == ("/callbacks/0", "conflict")
    job["compile"]["optimizer"] = {"class_name": "Adam", "config": {"use_ema": True}}
    assert parse(job).spec.callbacks[0].config == {"swap_on_epoch": False}


def test_the_optimizer_inside_another_one_counts(cnn: dict[str, Any], only_fault: FindFault, parse: Parse) -> None:
    def scaled(**config: Any) -> dict[str, Any]:
        inner = {"class_name": "Adam", "config": config}
        return {"class_name": "LossScaleOptimizer", "config": {"inner_optimizer": inner}}

    job = _job(cnn, ("SwapEMAWeights", {}))
    job["compile"]["optimizer"] = scaled(use_ema=True)
    parse(job)
    job["compile"]["optimizer"] = scaled()
    assert (only_fault(job).pointer, only_fault(job).code) == ("/callbacks/0", "conflict")
    schedule = {"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 10}}
    job = _job(cnn, ("ReduceLROnPlateau", {}))
    job["compile"]["optimizer"] = scaled(learning_rate=schedule)
    assert (only_fault(job).pointer, only_fault(job).code) == ("/callbacks/0", "conflict")


def test_a_callback_says_why_an_argument_is_not_supported(cnn: dict[str, Any], only_fault: FindFault) -> None:
    fault = only_fault(_job(cnn, ("TensorBoard", {"embeddings_metadata": {"words": "words.tsv"}})))
    assert (fault.pointer, fault.code) == ("/callbacks/0/config/embeddings_metadata", "wrong_type")
    assert "a job has no files" in fault.message


def test_a_declared_schedule(cnn: dict[str, Any], only_fault: FindFault, parse: Parse) -> None:
    job = _job(cnn, ("LearningRateScheduler", {"schedule": {"kind": "step", "epochs": 2, "factor": 0.5}}))
    job["callbacks"].append({"class_name": "EarlyStopping", "config": {"monitor": "learning_rate", "mode": "min"}})
    config = parse(job).spec.callbacks[0].config
    assert config == {"schedule": {"kind": "step", "epochs": 2, "factor": 0.5}, "verbose": 0}
    job["callbacks"][0]["config"]["schedule"]["epochs"] = 0
    assert only_fault(job).pointer == "/callbacks/0/config/schedule/epochs"


def test_a_function_is_not_a_schedule(cnn: dict[str, Any], only_fault: FindFault) -> None:
    fault = only_fault(_job(cnn, ("LearningRateScheduler", {"schedule": "lambda epoch: 0.1"})))
    assert (fault.pointer, fault.code) == ("/callbacks/0/config/schedule", "wrong_type")
    assert "step" in fault.message


def test_backup_and_restore_is_left_out_with_a_notice(cnn: dict[str, Any], only_fault: FindFault, parse: Parse) -> None:
    job = _job(cnn, ("BackupAndRestore", {"backup_dir": "/tmp/backup"}), ("TerminateOnNaN", {}))
    parsed = parse(job)
    assert [callback.class_name for callback in parsed.spec.callbacks] == ["TerminateOnNaN"]
    assert [(notice.pointer, notice.code) for notice in parsed.notices] == [("/callbacks/0", "ignored")]
    job["callbacks"][1]["config"]["patience"] = 1  # the pointer counts the callbacks as they were sent
    assert only_fault(job).pointer == "/callbacks/1/config/patience"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("LambdaCallback", "code"), ("RemoteMonitor", "address"), ("OrbaxCheckpoint", "path"), ("History", "every")],
)
def test_a_callback_that_is_not_supported_gets_the_reason(
    name: str, reason: str, cnn: dict[str, Any], only_fault: FindFault
) -> None:
    fault = only_fault(_job(cnn, (name, {})))
    assert fault.code == "unknown_class"
    assert reason in fault.message


@pytest.mark.parametrize(
    ("name", "argument"), [("CSVLogger", "filename"), ("TensorBoard", "log_dir")], ids=["CSVLogger", "TensorBoard"]
)
@pytest.mark.parametrize("path", ["x\0", "", "a\nb", "x" * 201])
def test_a_file_name_must_not_be_a_path(
    name: str, argument: str, path: str, cnn: dict[str, Any], only_fault: FindFault
) -> None:
    fault = only_fault(_job(cnn, (name, {argument: path})))
    assert (fault.pointer, fault.code) == (f"/callbacks/0/config/{argument}", "bad_name")
    assert "without folders" in fault.message


def test_a_faulty_metric_does_not_make_its_monitor_faulty(cnn: dict[str, Any], find_faults: FindFaults) -> None:
    cnn["compile"]["metrics"] = ["accuracyy"]
    faults = find_faults(_job(cnn, ("EarlyStopping", {"monitor": "val_accuracyy"})))
    assert [fault.pointer for fault in faults] == ["/compile/metrics/0"]


@pytest.mark.parametrize("monitor", ["accuracy/0", "val_accuracy/3"])
def test_one_value_of_a_metric_cannot_be_followed(monitor: str, cnn: dict[str, Any], find_faults: FindFaults) -> None:
    [fault] = find_faults(_job(cnn, ("EarlyStopping", {"monitor": monitor, "mode": "max"})))
    assert (fault.pointer, fault.code) == ("/callbacks/0/config/monitor", "not_logged")
    assert fault.message == f"Of the values of a metric, only their mean can be followed: {monitor.split('/')[0]!r}."
