"""Clients in Python and TypeScript that are generated from the description of the API train a job on the real stack."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import httpx
import pytest
from openapi_spec_validator import validate

from service.stack import Stack
from tests.waiting import ANSWER_SECONDS

TYPESCRIPT = Path(__file__).with_name("typescript")
LIGHT = ("progress", "best", "state")
MODULES = TYPESCRIPT / "node_modules"
JOB: dict[str, Any] = {
    "$schema": "http://127.0.0.1:8765/api/v1/job.schema.json",
    "name": "python",
    "model": {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "Flatten"},
                {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
            ]
        },
    },
    "compile": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"},
    "data": {"dataset": "digits", "x": "x_train", "y": "y_train"},
    "fit": {"epochs": 2},
    "labels": {"client": "generated"},
}


@pytest.fixture(scope="module")
def description(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the description that the service gives."""
    headers = {"Authorization": f"Bearer {stack.token}"}
    answer = httpx.get(f"{stack.url}/api/v1/openapi.json", headers=headers, timeout=ANSWER_SECONDS)
    assert answer.status_code == 200
    path = tmp_path_factory.mktemp("description") / "openapi.json"
    path.write_bytes(answer.content)
    return path


def test_the_description_is_valid(description: Path) -> None:
    validate(json.loads(description.read_text()))


def test_a_generated_python_client_trains_a_job(
    stack: Stack, description: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # it formats the code by ruff
    options = ["--path", description, "--output-path", tmp_path / "generated_fitqueue", "--meta", "none"]
    _run([sys.executable, "-m", "openapi_python_client", "generate", *options, "--fail-on-warning"])
    monkeypatch.syspath_prepend(tmp_path)
    api = importlib.import_module("generated_fitqueue")
    routes = importlib.import_module("generated_fitqueue.api.jobs")
    models = importlib.import_module("generated_fitqueue.models")
    for name in ("create_job", "get_job"):
        importlib.import_module(f"{routes.__name__}.{name}")
    best = importlib.import_module("generated_fitqueue.api.checkpoints.get_best_weights")

    # The default timeout of httpx is shorter than a long poll.
    client = api.AuthenticatedClient(stack.url, stack.token, timeout=httpx.Timeout(90))
    submitted = routes.create_job.sync(client=client, body=models.NewJob.from_dict(JOB), idempotency_key="python")
    assert isinstance(submitted, models.Job)
    assert submitted.labels.to_dict() == {"client": "generated"}
    job = submitted
    while job.state in {models.JobState.QUEUED, models.JobState.RUNNING}:
        job = routes.get_job.sync(submitted.id, client=client, wait=30)
    assert (job.state, job.progress.epoch) == (models.JobState.SUCCEEDED, 2), job.message
    light = routes.get_job.sync(submitted.id, client=client, fields=list(map(models.GetJobFieldsItem, LIGHT)))
    assert isinstance(light, models.PartialJob)
    assert light.best == job.best

    weights = best.sync(submitted.id, client=client)
    (tmp_path / "best.weights.h5").write_bytes(weights.payload.read())
    _assert_weights(tmp_path / "best.weights.h5")


@pytest.mark.skipif("CI" not in os.environ and not MODULES.exists(), reason="run `.ci/typescript` first")
def test_a_generated_typescript_client_trains_a_job(stack: Stack, description: Path, tmp_path: Path) -> None:
    for name in ("package.json", "tsconfig.json", "train.ts"):
        shutil.copy(TYPESCRIPT / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(MODULES)
    commands = MODULES / ".bin"
    _run([commands / "openapi-typescript", description, "--output", "schema.d.ts"], tmp_path)
    _run([commands / "tsc"], tmp_path)
    printed = _run(["node", "train.js", stack.url, stack.token, "best.weights.h5"], tmp_path)
    assert json.loads(printed)["state"] == "succeeded"
    _assert_weights(tmp_path / "best.weights.h5")


def _run(command: list[Any], folder: Path | None = None) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _assert_weights(path: Path) -> None:
    """Assert that a file has the weights of a model with one Dense layer."""
    with h5py.File(path) as file:
        assert file["layers/dense/vars/0"].shape == (64, 10)
