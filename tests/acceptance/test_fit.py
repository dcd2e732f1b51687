"""`client.fit` against `model.fit`: the same histories and variables, to the bit; for Keras 2, nearly the same."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.stack import Stack

NAMES = (
    "dense", "cnn", "lstm_encoder_decoder", "two_inputs_and_outputs", "embedding", "augmentation", "autoencoder",
    "moving_average", "schedules", "class_weights", "two_fits",
)  # fmt: skip

SCRIPTS = Path(__file__).with_name("fit_scripts.py")


@pytest.fixture(scope="module")
def results(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Return what both ways have written, by their names."""
    folder = tmp_path_factory.mktemp("fit")
    environment = {**os.environ, "FITQUEUE_URL": stack.url, "FITQUEUE_TOKEN": stack.token}
    for how in ("fit", "job"):
        command = [sys.executable, str(SCRIPTS), how, str(folder / f"{how}.npz")]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    with np.load(folder / "fit.npz") as fit, np.load(folder / "job.npz") as job:
        yield {"fit": dict(fit), "job": dict(job)}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_a_job_is_equal_to_fit(results: dict[str, Any], name: str) -> None:
    plain, job = ({key: value for key, value in results[how].items() if key.split("/")[0] == name} for how in results)
    assert str(job[name]) == str(plain[name]), "the history"
    assert job.keys() == plain.keys()
    assert [key for key in plain if not np.array_equal(plain[key], job[key], equal_nan=key != name)] == []


@pytest.mark.timeout(1800)
def test_a_job_of_keras_2_is_nearly_equal_to_fit(stack: Stack) -> None:
    environment = {**os.environ, "FITQUEUE_URL": stack.url, "FITQUEUE_TOKEN": stack.token}
    program = Path(__file__).with_name("fit_keras2.py")
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr
    assert "Skipping" not in done.stderr
    for script, result in json.loads(done.stdout.splitlines()[-1]).items():
        assert result["job"].keys() == result["plain"].keys(), script
        for name, values in result["job"].items():
            np.testing.assert_allclose(values, result["plain"][name], rtol=1e-3, err_msg=f"{script}, {name}")
        assert result["difference"] < 1e-3, script
