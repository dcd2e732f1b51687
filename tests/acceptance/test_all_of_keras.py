"""Jobs beyond the main example, and the answers to their POSTs."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import fitqueue
from fitqueue.errors import InvalidSpec
from fitqueue.states import JobState
from service.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_example_of_the_reference_is_accepted_as_it_was_written_in_2020(client: fitqueue.Client) -> None:
    job = json.loads((EXAMPLES / "mnist_cnn.json").read_text())
    answer = client.submit(job, dry_run=True)
    assert {(notice.pointer, notice.code) for notice in answer.notices} == {
        ("/model/config/layers/0/config/input_shape", "translated"),
        ("/compile/optimizer/config/lr", "translated"),
        ("/callbacks/1/config/filepath", "translated"),
    }
    assert answer.model is not None
    assert answer.model.parameters == 3_274_634


def test_a_model_that_keras_cannot_build_is_rejected_with_its_layer_and_the_error_of_keras(
    client: fitqueue.Client, digits_job: dict[str, Any]
) -> None:
    digits_job["model"]["config"]["layers"].insert(4, {"class_name": "Reshape", "config": {"target_shape": [7, 7]}})
    with pytest.raises(InvalidSpec) as caught:
        client.submit(digits_job)
    [fault] = caught.value.errors
    assert fault.pointer.startswith("/model/config/layers/4")
    assert "(7, 7)" in fault.message


def test_files_that_callbacks_write_can_be_downloaded(
    client: fitqueue.Client, digits_job: dict[str, Any], tmp_path: Path
) -> None:
    callbacks = [
        {"class_name": "CSVLogger", "config": {"filename": "log.csv"}},
        {"class_name": "TensorBoard", "config": {"log_dir": "logs"}},
    ]
    job = client.submit(digits_job | {"callbacks": callbacks, "fit": {"epochs": 2, "batch_size": 64}})
    assert client.wait(job.id).state == JobState.SUCCEEDED
    names = [artifact.name for artifact in client.artifacts(job.id)]
    assert len(names) == 2

    log = client.download_artifact(job.id, "log.csv", tmp_path)
    rows = list(csv.DictReader(log.read_text().splitlines()))
    metrics = list(client.metrics(job.id))
    assert [float(row["loss"]) for row in rows] == [row.metrics["loss"] for row in metrics]

    [archive_name] = [name for name in names if name.endswith(".zip")]
    with zipfile.ZipFile(client.download_artifact(job.id, archive_name, tmp_path)) as archive:
        assert [name for name in archive.namelist() if "events.out.tfevents" in name]


def test_a_diagnosis_is_in_the_language_of_the_client(
    stack: Stack, client: fitqueue.Client, digits_job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    english = client.wait(client.submit(digits_job).id)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    chinese = fitqueue.Client(stack.url, stack.token).get(english.id)
    assert english.diagnosis is not None
    assert chinese.diagnosis is not None
    assert len(english.diagnosis.movements) == 2
    assert chinese.diagnosis.verdict == english.diagnosis.verdict
    assert english.diagnosis.summary.isascii()
    assert not chinese.diagnosis.summary.isascii()


def test_a_job_starts_with_the_best_weights_of_another_one(client: fitqueue.Client, digits_job: dict[str, Any]) -> None:
    first = client.wait(client.submit(digits_job | {"fit": {"epochs": 3, "batch_size": 64}}).id)
    assert first.best is not None
    optimizer = {"class_name": "SGD", "config": {"learning_rate": 1e-12}}  # so that the weights stay the same
    spec = digits_job | {
        "fit": {"epochs": 1, "batch_size": 64},
        "compile": digits_job["compile"] | {"optimizer": optimizer},
        "initial_weights": {"job": first.id},
    }
    second = client.wait(client.submit(spec).id)
    assert second.best is not None
    assert second.best.value == pytest.approx(first.best.value, abs=1e-6)

    layers = digits_job["model"]["config"]["layers"]
    layers[-2] = {"class_name": "Dense", "config": {"units": 7}}
    with pytest.raises(InvalidSpec) as caught:
        client.submit(spec)
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [("/initial_weights/job", "conflict")]


def test_weights_of_a_job_that_does_not_exist_are_rejected(client: fitqueue.Client, digits_job: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec) as caught:
        client.submit(digits_job | {"initial_weights": {"job": "job_nowhere"}})
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [("/initial_weights/job", "unknown_job")]
