"""What a training takes is at most one and a half times what the model check says. The trial has more such jobs."""

import subprocess
import sys

import pytest

SAMPLE = (
    "data of float16",
    "sequences that are padded to 50000",
    "MelSpectrogram of 2000",
    "an LSTM of any length",
    "a MeanIoU of 3000 classes",
)


@pytest.mark.timeout(1500)
def test_hostile_jobs_take_what_their_senders_are_told() -> None:
    trial = [sys.executable, "-m", "benchmarks.memory_trial", *SAMPLE]
    done = subprocess.run(trial, capture_output=True, text=True, timeout=1400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert done.stdout.splitlines()[-1].startswith(f"{len(SAMPLE)} jobs trained")
