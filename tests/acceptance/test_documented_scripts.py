"""The Python scripts of the README and the quickstart run as they are printed there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fitqueue
from fitqueue.states import JobState
from service.stack import Stack

ROOT = Path(__file__).parents[2]

SMALL_MNIST = """\
import keras, numpy as np
rng = np.random.default_rng(0)
split = lambda count: (rng.integers(0, 256, (count, 28, 28), dtype="uint8"), rng.integers(0, 10, count, dtype="uint8"))
keras.datasets.mnist.load_data = lambda: (split(256), split(64))
"""
"""Replaces the download by random images of the same shape."""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_first_script_of_a_page_runs(page: str, stack: Stack, client: fitqueue.Client, tmp_path: Path) -> None:
    script = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert script is not None
    assert "client.fit(model, " in script[1]
    environment = {**os.environ, "FITQUEUE_URL": stack.url, "FITQUEUE_TOKEN": stack.token, "CUDA_VISIBLE_DEVICES": "-1"}
    program = SMALL_MNIST + script[1] + "\nprint(history.job.id, len(history.history['val_loss']))"
    command = [sys.executable, "-W", "error::UserWarning", "-c", program]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    job_id, epochs = done.stdout.split()[-2:]
    job = client.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert job.progress.epoch == int(epochs)
