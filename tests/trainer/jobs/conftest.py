"""Train jobs in real children of a real fork server, without a database."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fitqueue.datasets import DatasetInfo
from fitqueue.reports import CheckpointWritten, EpochEnded
from fitqueue.spec import parse_job
from workers.shared.protocol import Ended, Start, Stop, Stopped, WarmUp
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
    """What a child sent, printed and wrote.

    Attributes:
        directory: its work directory.
    """

    directory: Path
    events: list[Any] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def outcome(self) -> Ended | Stopped:
        """The last message."""
        assert isinstance(self.events[-1], Ended | Stopped), (self.events, self.lines)
        return self.events[-1]

    def events_of(self, event_type: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, event_type)]

    @property
    def epochs(self) -> list[EpochEnded]:
        return self.events_of(EpochEnded)

    @property
    def checkpoints(self) -> list[CheckpointWritten]:
        return self.events_of(CheckpointWritten)

    @property
    def history(self) -> dict[str, list[float]]:
        """The history as `model.fit` returns it."""
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch.logs)
        return {name: [epoch.logs[name] for epoch in self.epochs if name in epoch.logs] for name in names}

    def path_of(self, name: str) -> Path:
        """Return the newest checkpoint with this name."""
        newest = [written for written in self.checkpoints if name in written.names][-1]
        return self.directory / newest.file


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., dict[str, Any]]:
    """Return a function that makes the checked spec of a small job on the digits, with some fields replaced."""

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
    """Return a function that forks a child, has it train a job, and returns it with its work directory.

    Use the child as a context manager.
    """

    def start(spec: dict[str, Any], warm_up: WarmUp | None = None, **changes: Any) -> tuple[Child, Path]:
        directory = tmp_path_factory.mktemp("work")
        message = Start(
            job_id="job_1", attempt=1, spec=spec, dataset_path=None, work_dir=str(directory),
            gpus=[], cpu_devices=1, threads=0,
        )  # fmt: skip
        child = fork_server.spawn()
        if warm_up is not None:
            child.send(warm_up)
        child.send(message.model_copy(update=changes))
        return child, directory

    return start


@pytest.fixture(scope="session")
def train(start: Callable[..., tuple[Child, Path]]) -> Callable[..., Trained]:
    """Return a function that trains a job to its end. `stop_at(event)` may return a command to send to the child."""

    def train(
        spec: dict[str, Any], stop_at: Callable[[Any], Stop | None] = lambda event: None, **changes: Any
    ) -> Trained:
        child, directory = start(spec, **changes)
        trained = Trained(directory)
        with child:
            for event in child.outputs(poll=1.0):
                if isinstance(event, LogLines):
                    trained.lines += event.lines
                elif event is not None:
                    assert not isinstance(event, UnparsableLine)
                    trained.events.append(event)
                    if (command := stop_at(event)) is not None:
                        child.send(command)
        trained.exit_code = child.exit_code
        return trained

    return train


@pytest.fixture(scope="session")
def run_plain() -> Callable[..., Any]:
    """Return a function that runs a plain Keras script in a process of its own and parses its last line as JSON."""

    def run(script: str, *arguments: object) -> Any:
        completed = subprocess.run(
            [sys.executable, str(PLAIN_SCRIPTS / script), *map(str, arguments)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert completed.returncode == 0, completed.stderr
        return json.loads(completed.stdout.splitlines()[-1])

    return run
