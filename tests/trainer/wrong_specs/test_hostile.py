"""Jobs that are made to hurt: all refused soon, with no file read, no connection made and nothing of theirs run.

Watched from outside: a socket that counts who calls, a named pipe that knows whether anybody opened it, and in the
process of the API Python's audit events.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask.testing import FlaskClient

from service.checker import Checker

SOUND: dict[str, Any] = json.loads(Path(__file__).with_name("sound.json").read_text())
SECONDS = 1.0
MIB = 1024**2


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def job_with(*layers: dict[str, Any]) -> dict[str, Any]:
    job = json.loads(json.dumps(SOUND["cnn"]))
    job["model"]["config"]["layers"][4:5] = list(layers)
    return job


def nested(depth: int) -> dict[str, Any]:
    inner = layer("Dense", units=1)
    for _ in range(depth):
        inner = layer("TimeDistributed", layer=inner)
    return inner


BOMBS: dict[str, Callable[[], dict[str, Any]]] = {
    "a trillion weights": lambda: job_with(layer("Dense", units=10**6), layer("Dense", units=10**6)),
    "five thousand layers": lambda: job_with(*[layer("Dense", units=1)] * 5000),
    "deep nesting": lambda: job_with(nested(60)),
    "a constant of 2 GB": lambda: job_with(
        layer("Dense", units=2**23, kernel_initializer=layer("Constant", value=1.0)), layer("Dense", units=2**16)
    ),
    "a sequence of a billion": lambda: job_with(layer("RepeatVector", n=2**30), layer("LSTM", units=2**15)),
    "a huge kernel": lambda: job_with(
        layer("Reshape", target_shape=[8, 8, 2]), layer("Conv2D", filters=10**9, kernel_size=8)
    ),
    "an unrolled loop": lambda: job_with(layer("RepeatVector", n=10**5), layer("LSTM", units=2, unroll=True)),
    "a table of a trillion": lambda: job_with(layer("Embedding", input_dim=2**31 - 1, output_dim=2**20)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_soon_and_in_bounds(name: str, api: FlaskClient, checker: Checker) -> None:
    job = BOMBS[name]()
    began = time.process_time(), time.monotonic()
    memory = psutil.Process().memory_info().rss
    answer = api.post("/api/v1/jobs", json=job)
    seconds = time.monotonic() - began[1]
    assert answer.status_code in (400, 422), answer.json
    assert seconds < SECONDS * patience()
    # What was there before belongs to the tests: some of them have loaded TensorFlow into this process.
    assert psutil.Process().memory_info().rss - memory < 128 * MIB
    assert checker.status() == "ok"


def patience() -> float:
    """A loaded machine takes longer than an idle one for the same work."""
    return 1.0 + os.getloadavg()[0] / (os.cpu_count() or 1)


# --- Nothing is read, called or run --------------------------------------------------------------------------------


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "canary"
    os.mkfifo(path)
    return path


_AUDITED: list[str] = []
_DANGEROUS = (
    "exec",
    "compile",
    "import",
    "os.system",
    "os.exec",
    "subprocess.Popen",
    "ctypes.dlopen",
    "pickle.find_class",
)
sys.addaudithook(lambda event, args: _AUDITED.append(event) if event.startswith(_DANGEROUS) else None)


def reaching(path: str, url: str) -> list[dict[str, Any]]:
    """Jobs that name a file, an address or code wherever a config could."""
    dense = layer("Dense", units=1)
    return [
        job_with(layer("StringLookup", vocabulary=path)),
        job_with(layer("IntegerLookup", vocabulary=path)),
        job_with(layer("TextVectorization", vocabulary=path)),
        job_with(layer("TFSMLayer", filepath=path)),
        job_with(layer("TFSMLayer", filepath=url)),
        job_with(layer("Lambda", function=f"open({path!r})")),
        job_with(layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA="}})),
        job_with({**dense, "module": "os", "registered_name": "system"}),
        job_with({**dense, "registered_name": "package>Evil"}),
        job_with(layer("TimeDistributed", layer=layer("Lambda", function="x"))),
        job_with(layer("Bidirectional", layer={**layer("LSTM", units=1), "module": "builtins.eval"})),
        job_with(layer("Dense", units=1, activation={"class_name": "function", "config": "keras.utils.get_file"})),
        job_with(layer("Dense", units=1, activation="get_file")),
        job_with(
            layer("Dense", units=1, kernel_initializer={"class_name": "load_model", "config": {"filepath": path}})
        ),
        job_with(layer("Dense", units=f"__import__('os').open({path!r}, 0)")),
        job_with(layer("Dense", units=1, name=f"../../{path}")),
        {**SOUND["cnn"], "callbacks": [layer("RemoteMonitor", root=url)]},
        {**SOUND["cnn"], "callbacks": [layer("CSVLogger", filename=path)]},
        {**SOUND["cnn"], "callbacks": [layer("TensorBoard", log_dir=path)]},
        {**SOUND["cnn"], "callbacks": [layer("ModelCheckpoint", filepath=path)]},
        {**SOUND["cnn"], "callbacks": [layer("ModelCheckpoint", filepath="{epoch.__class__.__mro__}.keras")]},
        {**SOUND["cnn"], "callbacks": [layer("ModelCheckpoint", filepath="{epoch:>300000000}.keras")]},
        {**SOUND["cnn"], "callbacks": [layer("LambdaCallback", on_epoch_end="print")]},
        {**SOUND["cnn"], "data": {**SOUND["cnn"]["data"], "dataset": path}},
        {**SOUND["cnn"], "data": {**SOUND["cnn"]["data"], "dataset": url}},
        {**SOUND["cnn"], "compile": {**SOUND["cnn"]["compile"], "loss": {"class_name": "function", "config": "eval"}}},
        {
            **SOUND["cnn"],
            "compile": {**SOUND["cnn"]["compile"], "metrics": [{"class_name": "function", "config": "exec"}]},
        },
        {**SOUND["cnn"], "model": f'{{"class_name": "Functional", "config": "{path}"}}'},
    ]


@pytest.mark.parametrize("number", range(28))
def test_nothing_is_read_called_or_run(number: int, api: FlaskClient, trap: socket.socket, pipe: Path) -> None:
    jobs = reaching(str(pipe), f"http://127.0.0.1:{trap.getsockname()[1]}/x")
    assert len(jobs) == 28
    api.post("/api/v1/jobs", json=reaching("/", "nowhere")[23])  # what a first request imports is not the job's doing
    _AUDITED.clear()
    answer = api.post("/api/v1/jobs", json=jobs[number])
    ran = list(_AUDITED)
    assert answer.status_code == 422, answer.json
    assert not ran
    with pytest.raises(BlockingIOError):
        trap.accept()
    with pytest.raises(OSError, match="No such device"):  # nobody has opened it to read
        os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
