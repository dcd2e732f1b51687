from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob, logged_names

Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]
FindFaults = Callable[[Any], list[Fault]]


def _job(cnn: dict[str, Any], *callbacks: tuple[str, dict[str, Any]], validated: bool = True) -> dict[str, Any]:
    if not validated:
        del cnn["data"]["validation"]
    return cnn | {"callbacks": [{"class_name": name, "config": config} for name, config in callbacks]}


def _checkpoint(filepath: str, **config: Any) -> tuple[str, dict[str, Any]]:
    return "ModelCheckpoint", {"filepath": filepath, **config}


def test_every_documented_argument_is_taken(cnn: dict[str, Any], parse: Parse) -> None:
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


def test_a_monitor_without_validation_data_says_so(cnn: dict[str, Any], fault: FindFault) -> None:
    found = fault(_job(cnn, ("EarlyStopping", {}), validated=False))
    assert (found.pointer, found.code) == ("/callbacks/0/config/monitor", "not_logged")
    assert "no validation data" in found.message
    assert found.expected == "one of 'loss', 'accuracy'"


@pytest.mark.parametrize("monitor", ["val_auc", "lr", "learning_rate", "", "x" * 100])
def test_a_monitor_that_is_not_logged(monitor: str, cnn: dict[str, Any], fault: FindFault) -> None:
    found = fault(_job(cnn, ("EarlyStopping", {"monitor": monitor, "mode": "min"})))
    assert (found.pointer, found.code) == ("/callbacks/0/config/monitor", "not_logged")
    assert "'val_accuracy'" in str(found.expected)


def test_the_learning_rate_is_logged_after_reduce_lr_on_plateau(
    cnn: dict[str, Any], fault: FindFault, parse: Parse
) -> None:
    stop = ("EarlyStopping", {"monitor": "learning_rate", "mode": "min"})
    assert logged_names(parse(_job(cnn, ("ReduceLROnPlateau", {}), stop)).spec)[-1] == "learning_rate"
    assert fault(_job(cnn, stop, ("ReduceLROnPlateau", {}))).pointer == "/callbacks/0/config/monitor"


def test_validation_split_gives_validation(cnn: dict[str, Any], parse: Parse) -> None:
    job = _job(cnn, ("EarlyStopping", {}), validated=False)
    job["fit"]["validation_split"] = 0.1
    assert "val_loss" in logged_names(parse(job).spec)


def test_a_metric_of_no_known_direction_needs_a_mode(cnn: dict[str, Any], fault: FindFault, parse: Parse) -> None:
    cnn["compile"]["metrics"] = ["TruePositives"]
    found = fault(_job(cnn, ("EarlyStopping", {"monitor": "TruePositives"})))
    assert (found.pointer, found.code) == ("/callbacks/0/config/mode", "missing")
    parse(_job(cnn, ("EarlyStopping", {"monitor": "TruePositives", "mode": "max"})))


def test_a_checkpoint_that_saves_always_needs_no_monitor(cnn: dict[str, Any], parse: Parse) -> None:
    parse(_job(cnn, _checkpoint("{epoch}.keras"), validated=False))


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
def test_templates(filepath: str, config: dict[str, Any], code: str, cnn: dict[str, Any], fault: FindFault) -> None:
    found = fault(_job(cnn, _checkpoint(filepath, **config)))
    assert (found.pointer, found.code) == ("/callbacks/0/config/filepath", code)


def test_all_faults_of_a_template_are_named(cnn: dict[str, Any], faults: FindFaults) -> None:
    found = faults(_job(cnn, _checkpoint("{a}-{b}.keras", monitor="c", save_best_only=True)))
    assert [fault.received for fault in found] == ["c", "a", "b"]


def test_after_batches_the_batch_is_a_field(cnn: dict[str, Any], parse: Parse) -> None:
    parse(_job(cnn, _checkpoint("{epoch}-{batch}-{loss:.3f}.keras", save_freq=10)))


def test_period_and_save_freq_contradict_each_other(cnn: dict[str, Any], fault: FindFault) -> None:
    found = fault(_job(cnn, _checkpoint("{batch}.keras", save_freq=10, period=2)))
    assert (found.pointer, found.code) == ("/callbacks/0/config/period", "conflict")


def test_a_schedule_cannot_be_lowered(cnn: dict[str, Any], fault: FindFault) -> None:
    schedule = {"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 10}}
    cnn["compile"]["optimizer"] = {"class_name": "SGD", "config": {"learning_rate": schedule}}
    assert fault(_job(cnn, ("ReduceLROnPlateau", {}))).code == "conflict"
    by_table = {"schedule": {"kind": "table", "rates": [[0, 0.1]]}}
    assert fault(_job(cnn, ("LearningRateScheduler", by_table))).code == "conflict"


def test_averages_are_swapped_where_there_are_some(cnn: dict[str, Any], fault: FindFault, parse: Parse) -> None:
    job = _job(cnn, ("SwapEMAWeights", {}))
    assert (fault(job).pointer, fault(job).code) == ("/callbacks/0", "conflict")
    job["compile"]["optimizer"] = {"class_name": "Adam", "config": {"use_ema": True}}
    assert parse(job).spec.callbacks[0].config == {"swap_on_epoch": False}


def test_a_declared_schedule(cnn: dict[str, Any], fault: FindFault, parse: Parse) -> None:
    job = _job(cnn, ("LearningRateScheduler", {"schedule": {"kind": "step", "epochs": 2, "factor": 0.5}}))
    job["callbacks"].append({"class_name": "EarlyStopping", "config": {"monitor": "learning_rate", "mode": "min"}})
    config = parse(job).spec.callbacks[0].config
    assert config == {"schedule": {"kind": "step", "epochs": 2, "factor": 0.5}, "verbose": 0}
    job["callbacks"][0]["config"]["schedule"]["epochs"] = 0
    assert fault(job).pointer == "/callbacks/0/config/schedule/epochs"


def test_a_function_is_no_schedule(cnn: dict[str, Any], fault: FindFault) -> None:
    found = fault(_job(cnn, ("LearningRateScheduler", {"schedule": "lambda epoch: 0.1"})))
    assert (found.pointer, found.code) == ("/callbacks/0/config/schedule", "wrong_type")
    assert "step" in found.message


def test_backups_are_every_jobs(cnn: dict[str, Any], fault: FindFault, parse: Parse) -> None:
    job = _job(cnn, ("BackupAndRestore", {"backup_dir": "/tmp/backup"}), ("TerminateOnNaN", {}))
    parsed = parse(job)
    assert [callback.class_name for callback in parsed.spec.callbacks] == ["TerminateOnNaN"]
    assert [(notice.pointer, notice.code) for notice in parsed.notices] == [("/callbacks/0", "ignored")]
    job["callbacks"][1]["config"]["patience"] = 1  # a fault has the number that its sender counts
    assert fault(job).pointer == "/callbacks/1/config/patience"


@pytest.mark.parametrize(
    ("name", "says"),
    [("LambdaCallback", "code"), ("RemoteMonitor", "address"), ("OrbaxCheckpoint", "path"), ("History", "by itself")],
)
def test_callbacks_that_are_left_out_and_why(name: str, says: str, cnn: dict[str, Any], fault: FindFault) -> None:
    found = fault(_job(cnn, (name, {})))
    assert found.code == "unknown_class"
    assert says in found.message


@pytest.mark.parametrize(
    ("name", "argument"), [("CSVLogger", "filename"), ("TensorBoard", "log_dir")], ids=["CSVLogger", "TensorBoard"]
)
@pytest.mark.parametrize("path", ["/tmp/x", "../x", "a/b", "gs://bucket/x", ".hidden", "x\0", "", "a\\b"])
def test_the_name_of_a_file_is_no_path(
    name: str, argument: str, path: str, cnn: dict[str, Any], fault: FindFault
) -> None:
    found = fault(_job(cnn, (name, {argument: path})))
    assert (found.pointer, found.code) == (f"/callbacks/0/config/{argument}", "bad_name")
    assert "without folders" in found.message


def test_faulty_metrics_do_not_make_monitors_faulty(cnn: dict[str, Any], faults: FindFaults) -> None:
    cnn["compile"]["metrics"] = ["accuracyy"]
    found = faults(_job(cnn, ("EarlyStopping", {"monitor": "val_accuracyy"})))
    assert [fault.pointer for fault in found] == ["/compile/metrics/0"]
