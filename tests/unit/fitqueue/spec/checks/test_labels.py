"""Names of artifacts and of logged values that two things would share."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, sequential_job

OnlyFault = Callable[[Any], Fault]
Parse = Callable[[Any], ParsedJob]


def _job(metrics: Any = (), callbacks: Any = (), **fit: Any) -> dict[str, Any]:
    job = sequential_job(layer("Input", shape=[12]), layer("Dense", units=1))
    job["compile"]["metrics"] = list(metrics)
    return job | {"callbacks": list(callbacks), "fit": fit}


@pytest.mark.parametrize(
    ("callbacks", "pointer"),
    [
        ([layer("CSVLogger", filename="logs/a.csv"), layer("CSVLogger", filename="logs-a.csv")], "1/config/filename"),
        ([layer("TensorBoard"), layer("TensorBoard", log_dir="./logs")], "1/config/log_dir"),
        ([layer("TensorBoard", log_dir="x"), layer("CSVLogger", filename="x.zip")], "1/config/filename"),
    ],
)
def test_two_artifacts_with_one_name(callbacks: Any, pointer: str, only_fault: OnlyFault) -> None:
    fault = only_fault(_job(callbacks=callbacks))
    assert (fault.pointer, fault.code) == (f"/callbacks/{pointer}", "duplicate_name")


def test_artifacts_with_names_of_their_own(parse: Parse) -> None:
    callbacks = [layer("CSVLogger", filename="logs/a.csv"), layer("CSVLogger", filename="b.csv"), layer("TensorBoard")]
    assert len(parse(_job(callbacks=callbacks)).spec.callbacks) == 3


@pytest.mark.parametrize("name", ["loss", "batch", "epoch", "learning_rate"])
def test_a_metric_must_not_have_the_name_of_another_value(name: str, only_fault: OnlyFault) -> None:
    fault = only_fault(_job([layer("MeanSquaredError", name=name)]))
    assert (fault.pointer, fault.code) == ("/compile/metrics/0/config/name", "bad_name")


@pytest.mark.parametrize(
    ("metrics", "name"),
    [
        ([layer("R2Score", class_aggregation=None), layer("MeanSquaredError", name="r2_score/0")], "r2_score/0"),
        (["mae", "mae", layer("MeanSquaredError", name="mae_1")], "mae_1"),
        (["mae", layer("MeanSquaredError", name="val_mae")], "val_mae"),
        ([layer("MeanSquaredError", name="val_loss")], "val_loss"),
    ],
)
def test_two_values_with_one_name(metrics: Any, name: str, only_fault: OnlyFault) -> None:
    fault = only_fault(_job(metrics, validation_split=0.5))
    assert (fault.pointer, fault.code, fault.received) == ("/compile/metrics", "duplicate_name", name)


@pytest.mark.parametrize(
    "metrics",
    [["mae", "mae"], ["mae", layer("MeanSquaredError", name="mae/first")], [layer("MeanSquaredError", name="a/0")]],
)
def test_names_that_are_alike_and_do_not_clash(metrics: Any, parse: Parse) -> None:
    assert parse(_job(metrics, validation_split=0.5)).spec.logged_names[0] == "loss"


def test_a_validation_name_without_a_validation(parse: Parse) -> None:
    assert "val_loss" in parse(_job([layer("MeanSquaredError", name="val_loss")])).spec.logged_names
