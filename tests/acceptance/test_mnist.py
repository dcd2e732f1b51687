"""The full example of the reference on all of MNIST."""

import json
from pathlib import Path

import pytest

import fitqueue
from fitqueue.states import JobState

ROOT = Path(__file__).parents[2]
MNIST = ROOT.parent / "shared" / "data" / "mnist.npz"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not MNIST.exists(), reason=f"no MNIST at {MNIST}")
def test_the_example_of_the_reference_reaches_its_accuracy(client: fitqueue.Client) -> None:
    job = json.loads((ROOT / "examples" / "mnist_cnn.json").read_text())
    job["data"]["dataset"] = client.upload(MNIST, "mnist-uploaded").id
    # With its min_delta of 0.1, the example's EarlyStopping would end the training after three of its five epochs.
    job["callbacks"][0]["config"]["patience"] = 5
    ended = client.wait(client.submit(job).id)
    assert ended.state == JobState.SUCCEEDED, ended.message
    rows = list(client.metrics(ended.id))
    assert len(rows) == 5
    assert max(row.metrics["val_accuracy"] for row in rows) >= 0.985
