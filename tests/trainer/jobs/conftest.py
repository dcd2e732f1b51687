"""Jobs trained by real children of a real nursery, without a database."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fitqueue.datasets import DatasetInfo
from fitqueue.spec import parse_job
from workers.shared.protocol import CheckpointWritten, Ended, EpochEnded, Start, Stop, Stopped
from workers.supervisor.child import Child
from workers.supervisor.child_output import LogLines, UnparsableLine
from workers.supervisor.fork_server import ForkServer

PLAIN_SCRIPTS = Path(__file__).parent / "plain"

DENSE: dict[str, Any] = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8]}},
            {"class_name": "Flatten", "config": {}},
            {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
        ]
    },
}


@dataclass
class Trained:
    """What a child said and left."""

    directory: Path
    said: list[Any] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def ending(self) -> Ended | Stopped:
        assert isinstance(self.said[-1], Ended | Stopped), (self.said, self.lines)
        return self.said[-1]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.said if isinstance(event, kind)]

    @property
    def epochs(self) -> list[EpochEnded]:
        return self.of(EpochEnded)

    @property
    def checkpoints(self) -> list[CheckpointWritten]:
        return self.of(CheckpointWritten)

    @property
    def history(self) -> dict[str, list[float]]:
        """As `model.fit` returns it."""
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch.logs)
        return {name: [epoch.logs[name] for epoch in self.epochs if name in epoch.logs] for name in names}

    def path_of(self, name: str) -> Path:
        """The file that the name points to at the end."""
        newest = [written for written in self.checkpoints if name in written.names][-1]
        return self.directory / newest.file


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., dict[str, Any]]:
    """A checked job as it is stored: a small one on the digits, with these fields replaced."""

    def make(find: Callable[[str], DatasetInfo | None] = lambda name: None, **fields: Any) -> dict[str, Any]:
        raw = {
            "model": DENSE,
            "compile": {
                "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.001}},
                "loss": "sparse_categorical_crossentropy",
                "metrics": ["accuracy"],
            },
            "data": {"dataset": "digits", "x": "x_train", "y": "y_train", "prepare": {"x": [{"scale": 0.0625}]}},
            "fit": {"epochs": 2, "batch_size": 64, "shuffle": False},
            "seed": 7,
        }
        return parse_job(raw | fields, find).spec.to_json()

    return make


@pytest.fixture(scope="session")
def start(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Child, Path]]:
    """Forks a child and tells it to train this job; the child, to be used as a context manager, and its directory."""

    def start(spec: dict[str, Any], **changes: Any) -> tuple[Child, Path]:
        directory = tmp_path_factory.mktemp("work")
        message = Start(
            job_id="job_1", attempt=1, spec=spec, dataset_path=None, work_dir=str(directory),
            gpus=[], cpu_devices=1, threads=0,
        )  # fmt: skip
        child = fork_server.spawn()
        child.send(message.model_copy(update=changes))
        return child, directory

    return start


@pytest.fixture(scope="session")
def train(start: Callable[..., tuple[Child, Path]]) -> Callable[..., Trained]:
    """Trains a job to its end. `stop_at(event)` may return a word for the child."""

    def train(
        spec: dict[str, Any], stop_at: Callable[[Any], Stop | None] = lambda event: None, **changes: Any
    ) -> Trained:
        child, directory = start(spec, **changes)
        trained = Trained(directory)
        with child:
            for event in child.events(poll=1.0):
                if isinstance(event, LogLines):
                    trained.lines += event.lines
                elif event is not None:
                    assert not isinstance(event, UnparsableLine)
                    trained.said.append(event)
                    if (word := stop_at(event)) is not None:
                        child.send(word)
        trained.exit_code = child.exit_code
        return trained

    return train


@pytest.fixture(scope="session")
def run_plain() -> Callable[..., Any]:
    """Runs a plain Keras script, as a user would, in a process of its own; what it printed last, as JSON."""

    def run(script: str, *arguments: object) -> Any:
        done = subprocess.run(
            [sys.executable, str(PLAIN_SCRIPTS / script), *map(str, arguments)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
