"""`client.fit` in a notebook: the example runs as it is, and what its cells show is looked at."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import fitqueue
from fitqueue.states import JobState
from service.stack import Stack
from tests.acceptance.conftest import EXAMPLES

pytestmark = pytest.mark.timeout(3600)
SECONDS = 1200
"""For one cell. It trains in some seconds, and a slow machine takes its time."""


@pytest.fixture
def folder(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run a notebook in; the environment names the service."""
    monkeypatch.setenv("FITQUEUE_URL", stack.url)
    monkeypatch.setenv("FITQUEUE_TOKEN", stack.token)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return tmp_path


def run(notebook: Any, folder: Path) -> list[list[Any]]:
    """Run a notebook; return the outputs of each of its cells with code."""
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def html_of(outputs: list[Any]) -> str:
    """Return the one picture that a cell shows. Where an upload was shown before it, an empty one has stayed."""
    [shown] = [html for output in outputs if (html := output.get("data", {}).get("text/html"))]
    return str(shown)


def printed_by(outputs: list[Any]) -> str:
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def test_the_example_trains_draws_and_equals_keras(client: fitqueue.Client, folder: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "fit_digits.ipynb", as_version=4)
    assert all(cell.outputs == [] for cell in notebook.cells if cell.cell_type == "code"), "outputs are not stored"
    _, _, fitted, plotted, evaluated, compared, listed = run(notebook, folder)

    job = next(client.list(name="digits, 16 filters"))
    assert job.state is JobState.SUCCEEDED
    html = html_of(fitted)
    assert f"<code>{job.id}</code>" in html
    assert html.count("<svg") == 2, "loss and accuracy"
    assert "succeeded, epoch 8/8" in html
    assert [output.data.keys() & {"image/png"} for output in plotted] == [{"image/png"}]

    accuracy = float(printed_by(evaluated).rpartition(" ")[2])
    assert accuracy > 0.85, "one that has learned nothing has 0.1"
    difference = float(printed_by(compared).split(" differ by ")[1].split()[0])
    assert difference < 1e-6
    assert html_of(listed).count("<tr>") == 1 + 2
    for waiting in client.list(labels={"example": "digits"}):
        assert client.wait(waiting.id).state is JobState.SUCCEEDED


INTERRUPTED = """
import os, signal, threading, time
import keras, numpy as np
import fitqueue

client = fitqueue.Client()
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x = np.arange(400, dtype="float32").reshape(100, 4) / 400
job = client.submit(model=model, x=x, y=x[:, :1], epochs=100_000, batch_size=2, name="<b>")

def interrupt():
    while client.get(job.id).progress.epoch < 3:
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
history = client.attach(job.id, model)
"""


def test_the_button_that_interrupts_a_cell_leaves_the_job_alone(client: fitqueue.Client, folder: Path) -> None:
    cells = [INTERRUPTED, "print(len(history.epoch), history.job.id)", "history", "client.cancel(job.id)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    attached, printed, shown, cancelled = run(notebook, folder)
    count, job_id = printed_by(printed).split()
    assert 1 <= int(count) < 100_000
    html = html_of(attached)
    assert "<strong>&lt;b&gt;</strong>" in html
    assert f"client.attach(&quot;{job_id}&quot;, model)" in html
    assert f"client.cancel(&quot;{job_id}&quot;)" in html
    assert "<svg" in html_of(shown)
    assert job_id in html_of(cancelled)
    assert client.wait(job_id).state is JobState.CANCELLED
