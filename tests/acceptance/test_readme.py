"""The script on the README's first screen, run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import fitqueue
from fitqueue.states import JobState
from service.stack import Stack

README = Path(__file__).parents[2] / "README.md"


def test_the_script_of_the_readme_trains_and_loads_the_best_weights(
    stack: Stack, client: fitqueue.Client, tmp_path: Path
) -> None:
    [script] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    before = {job.id for job in client.list()}
    environment = {**os.environ, "FITQUEUE_URL": stack.url, "FITQUEUE_TOKEN": stack.token}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [job] = [job for job in client.list() if job.id not in before]
    assert job.state is JobState.SUCCEEDED
    assert (tmp_path / "best.weights.h5").is_file()
