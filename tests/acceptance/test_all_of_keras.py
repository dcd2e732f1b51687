"""What a job can say beyond the main example, and what its POST says back."""

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


def test_the_documents_example_is_understood_in_its_own_old_words(client: fitqueue.Client) -> None:
    job = json.loads((EXAMPLES / "mnist_cnn.json").read_text())
    answer = client.submit(job, dry_run=True)
    assert {(notice.pointer, notice.code) for notice in answer.notices} == {
        ("/model/config/layers/0/config/input_shape", "translated"),
        ("/compile/optimizer/config/lr", "translated"),
        ("/callbacks/1/config/filepath", "translated"),
    }
    assert answer.model is not None
    assert answer.model.parameters == 3_274_634


def test_a_model_that_keras_cannot_build_is_refused_at_its_layer_in_keras_words(
    client: fitqueue.Client, digits_job: dict[str, Any]
) -> None:
    digits_job["model"]["config"]["layers"].insert(4, {"class_name": "Reshape", "config": {"target_shape": [7, 7]}})
    with pytest.raises(InvalidSpec) as refused:
        client.submit(digits_job)
    [fault] = refused.value.errors
    assert fault.pointer.startswith("/model/config/layers/4")
    assert "(7, 7)" in fault.message


def test_what_callbacks_write_can_be_fetched(
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

    table = client.download_artifact(job.id, "log.csv", tmp_path)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    metrics = list(client.metrics(job.id))
    assert [float(row["loss"]) for row in rows] == [row.metrics["loss"] for row in metrics]

    [archive] = [name for name in names if name.endswith(".zip")]
    with zipfile.ZipFile(client.download_artifact(job.id, archive, tmp_path)) as folder:
        assert [name for name in folder.namelist() if "events.out.tfevents" in name]


def test_a_training_is_diagnosed_in_the_language_that_is_asked_for(
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


def test_a_job_begins_with_the_best_weights_of_another(client: fitqueue.Client, digits_job: dict[str, Any]) -> None:
    first = client.wait(client.submit(digits_job | {"fit": {"epochs": 3, "batch_size": 64}}).id)
    assert first.best is not None
    standing_still = {"class_name": "SGD", "config": {"learning_rate": 1e-12}}
    again = digits_job | {
        "fit": {"epochs": 1, "batch_size": 64},
        "compile": digits_job["compile"] | {"optimizer": standing_still},
        "initial_weights": {"job": first.id},
    }
    second = client.wait(client.submit(again).id)
    assert second.best is not None
    assert second.best.value == pytest.approx(first.best.value, abs=1e-6)

    other = digits_job["model"]["config"]["layers"]
    other[-2] = {"class_name": "Dense", "config": {"units": 7}}
    with pytest.raises(InvalidSpec) as refused:
        client.submit(again)
    assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [("/initial_weights/job", "conflict")]


def test_weights_of_a_job_that_is_not_there_are_refused(client: fitqueue.Client, digits_job: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        client.submit(digits_job | {"initial_weights": {"job": "job_nowhere"}})
    assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [("/initial_weights/job", "unknown_job")]
