"""Malicious jobs are refused soon: they read no file, open no connection and run no code.

The tests observe this from outside, by a listening socket, by a named pipe that shows whether it was opened, and by
Python's audit events in the process of the API.
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

from fitqueue.model_check import ModelCheckRequest
from fitqueue.spec.findings import Findings, Pointer
from fitqueue.spec.keras_objects.objects import check_object
from service.checker import Checker
from workers.model_check.server import MEMORY_BYTES

VALID: dict[str, Any] = json.loads(Path(__file__).with_name("valid.json").read_text())
SECONDS = 1.0
MIB = 1024**2


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def job_with(*layers: dict[str, Any]) -> dict[str, Any]:
    job = json.loads(json.dumps(VALID["cnn"]))
    job["model"]["config"]["layers"][4:5] = list(layers)
    return job


HEAD = [layer("Dense", units=10, activation="softmax")]
UNROLLED = layer("LSTM", units=2, unroll=True)


def architecture(name: str) -> dict[str, Any]:
    return layer(name, weights=None, include_top=False, input_shape=[64, 64, 3])


def with_metrics(*metrics: dict[str, Any]) -> dict[str, Any]:
    return {**VALID["cnn"], "compile": {**VALID["cnn"]["compile"], "metrics": list(metrics)}}


def called_often(shared: dict[str, Any], times: int) -> dict[str, Any]:
    """Return a job that calls a layer this many times on the same input, and outputs one of the results."""
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": ["in", 0, 0]}}
    named = {**shared, "config": {**shared["config"], "name": "shared"}}
    layers = [
        {**layer("InputLayer", shape=[64, 64, 3], name="in"), "inbound_nodes": []},
        {**named, "inbound_nodes": [{"args": [tensor], "kwargs": {}}] * times},
    ]
    model = layer("Functional", layers=layers, input_layers=["in", 0, 0], output_layers=["shared", 0, 0])
    return {**VALID["cnn"], "model": model}


def nested(depth: int) -> dict[str, Any]:
    inner = layer("Dense", units=1)
    for _ in range(depth):
        inner = layer("TimeDistributed", layer=inner)
    return inner


BOMBS: dict[str, Callable[[], dict[str, Any]]] = {
    "a trillion weights": lambda: job_with(layer("Dense", units=10**6), layer("Dense", units=10**6)),
    "five thousand layers": lambda: job_with(*[layer("Dense", units=1)] * 5000),
    "deep nesting": lambda: job_with(nested(60)),
    "a constant of 2 TB": lambda: job_with(
        layer("Dense", units=2**23, kernel_initializer=layer("Constant", value=1.0)), layer("Dense", units=2**16)
    ),
    "a sequence of a billion": lambda: job_with(layer("RepeatVector", n=2**30), layer("LSTM", units=2**15)),
    "a huge kernel": lambda: job_with(
        layer("Reshape", target_shape=[8, 8, 2]), layer("Conv2D", filters=10**9, kernel_size=8)
    ),
    "an unrolled loop": lambda: job_with(layer("RepeatVector", n=10**5), UNROLLED),
    "an unrolled loop in a wrapper": lambda: job_with(
        layer("RepeatVector", n=2000), layer("Bidirectional", layer=UNROLLED), layer("Dense", units=10)
    ),
    "many short unrolled loops": lambda: job_with(
        *[layer("RepeatVector", n=100), layer("GRU", units=2, unroll=True)] * 6, layer("Dense", units=10)
    ),
    "an unrolled loop in a pipeline": lambda: job_with(
        layer("Pipeline", layers=[layer("RepeatVector", n=2000), UNROLLED]), layer("Dense", units=10)
    ),
    "twenty of the largest architecture": lambda: job_with(*[architecture("NASNetLarge")] * 20),
    "twenty of a common architecture": lambda: job_with(*[architecture("ResNet50")] * 20),
    "architectures in wrappers": lambda: job_with(*[layer("TimeDistributed", layer=architecture("ResNet50"))] * 20),
    "one layer in two directions, four hundred times": lambda: job_with(
        layer("RepeatVector", n=2), *[layer("Bidirectional", layer=layer("LSTM", units=1, return_sequences=True))] * 400
    ),
    "an architecture that is called often": lambda: called_often(architecture("MobileNet"), 100),
    "metrics of millions of thresholds": lambda: with_metrics(*[layer("AUC", num_thresholds=100_000)] * 60),
    "a matrix of a trillion mel bins": lambda: job_with(
        layer("RepeatVector", n=10), layer("Flatten"), layer("MelSpectrogram", num_mel_bins=10**6, fft_length=2 * 10**6)
    ),
    "a table of a trillion": lambda: job_with(layer("Embedding", input_dim=2**31 - 1, output_dim=2**20)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_soon_and_within_bounds(name: str, api: FlaskClient, checker: Checker) -> None:
    job = BOMBS[name]()
    started_at = time.process_time(), time.monotonic()
    memory = psutil.Process().memory_info().rss
    response = api.post("/api/v1/jobs", json=job)
    seconds = time.monotonic() - started_at[1]
    assert response.status_code in (400, 422), response.json
    assert seconds < 2 * SECONDS * load_factor(), (
        "a check has one second of CPU time; the wall-clock time may be longer"
    )
    # Only the increase counts: other tests may have loaded TensorFlow into this process.
    assert psutil.Process().memory_info().rss - memory < 128 * MIB
    assert checker.status() == "ok"


def test_a_constant_of_two_gigabytes_is_checked_without_allocating_it(api: FlaskClient) -> None:
    """Such a model can be trained, so it is accepted; its check has half of the memory that the constant would need."""
    kernel = layer("Dense", units=2**15, kernel_initializer=layer("Constant", value=1.0))
    response = api.post("/api/v1/jobs?dry_run=true", json=job_with(layer("Dense", units=2**14), kernel, *HEAD))
    assert response.status_code == 200, response.json
    assert 2 * MEMORY_BYTES == 4 * 2**14 * 2**15
    assert response.json["model"]["memory"]["weights"] > 2 * MEMORY_BYTES


def test_a_constant_of_many_numbers_must_have_the_shape_of_its_weight(api: FlaskClient) -> None:
    dense = layer("Dense", units=10**5, kernel_initializer=layer("Constant", value=[1.0] * (10**5 - 1)))
    response = api.post("/api/v1/jobs?dry_run=true", json=job_with(dense))
    assert response.status_code == 422
    [fault] = [error for error in response.json["errors"] if "Constant" in error["message"]]
    assert fault["pointer"].endswith("/config/kernel_initializer/config/value")
    assert "[99999]" in fault["message"]
    assert "100000]" in fault["message"]


LARGE = {
    "the largest architecture": {"class_name": "NASNetLarge", "config": {"weights": None, "classes": 10}},
    "the most layers of an EfficientNet": {"class_name": "EfficientNetV2L", "config": {"weights": None, "classes": 10}},
    "a deep residual network": {"class_name": "ResNet152", "config": {"weights": None, "classes": 10}},
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_model_is_accepted(name: str, checker: Checker) -> None:
    assert_passes(LARGE[name], checker)


@pytest.mark.parametrize(
    "layers",
    [
        [layer("Dense", units=8)] * 400,
        [layer("RepeatVector", n=3), *[layer("LSTM", units=2, return_sequences=True)] * 60],
    ],
    ids=["dense", "recurrent"],
)
def test_some_hundred_layers_are_accepted(layers: list[dict[str, Any]], checker: Checker) -> None:
    assert_passes(layer("Sequential", layers=[layer("Input", shape=[8]), *layers]), checker)


def assert_passes(model: dict[str, Any], checker: Checker) -> None:
    canonical = check_object(model, "layers", Pointer(Findings()))
    spec = {"model": canonical, "seed": 1, "fit": {"batch_size": 1}}
    check_request = {"spec": spec, "arrays": {}, "max_bytes": 10**13}
    response = checker.check(ModelCheckRequest.model_validate(check_request))
    assert response is not None
    assert response.faults == []
    assert response.summary is not None


def load_factor() -> float:
    """Return how much longer the same work takes on this machine than on an idle one."""
    return 1.0 + os.getloadavg()[0] / (os.cpu_count() or 1)


# --- No file is read, no server called and no code run --------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def named_pipe(tmp_path: Path) -> Path:
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


def jobs_with_references(path: str, url: str) -> list[dict[str, Any]]:
    """Return jobs that name a file, an address or code wherever a config could do so."""
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
        {**VALID["cnn"], "callbacks": [layer("RemoteMonitor", root=url)]},
        {**VALID["cnn"], "callbacks": [layer("ModelCheckpoint", filepath=path)]},
        {**VALID["cnn"], "callbacks": [layer("ModelCheckpoint", filepath="{epoch.__class__.__mro__}.keras")]},
        {**VALID["cnn"], "callbacks": [layer("ModelCheckpoint", filepath="{epoch:>300000000}.keras")]},
        {**VALID["cnn"], "callbacks": [layer("LambdaCallback", on_epoch_end="print")]},
        {**VALID["cnn"], "data": {**VALID["cnn"]["data"], "dataset": path}},
        {**VALID["cnn"], "data": {**VALID["cnn"]["data"], "dataset": url}},
        {**VALID["cnn"], "compile": {**VALID["cnn"]["compile"], "loss": {"class_name": "function", "config": "eval"}}},
        {
            **VALID["cnn"],
            "compile": {**VALID["cnn"]["compile"], "metrics": [{"class_name": "function", "config": "exec"}]},
        },
        {**VALID["cnn"], "model": f'{{"class_name": "Functional", "config": "{path}"}}'},
    ]


@pytest.mark.parametrize("number", range(26))
def test_no_file_is_read_no_server_called_and_no_code_run(
    number: int, api: FlaskClient, listener: socket.socket, named_pipe: Path
) -> None:
    jobs = jobs_with_references(str(named_pipe), f"http://127.0.0.1:{listener.getsockname()[1]}/x")
    assert len(jobs) == 26
    api.post(
        "/api/v1/jobs", json=jobs_with_references("/", "nowhere")[21]
    )  # the first request imports modules, whatever its job is
    _AUDITED.clear()
    response = api.post("/api/v1/jobs", json=jobs[number])
    audited = list(_AUDITED)
    assert response.status_code == 422, response.json
    assert not audited
    with pytest.raises(BlockingIOError):
        listener.accept()
    _check_unread(named_pipe)


@pytest.mark.parametrize(("class_name", "argument"), [("CSVLogger", "filename"), ("TensorBoard", "log_dir")])
def test_a_path_to_a_file_becomes_a_label(class_name: str, argument: str, api: FlaskClient, named_pipe: Path) -> None:
    job = {**VALID["cnn"], "callbacks": [layer(class_name, **{argument: str(named_pipe)})]}
    response = api.post("/api/v1/jobs", json=job)
    assert response.status_code == 201, response.json
    assert response.json is not None
    stored = api.get(f"/api/v1/jobs/{response.json['id']}").json
    assert stored is not None
    assert stored["spec"]["callbacks"][0]["config"][argument] == "-".join(named_pipe.parts[1:])
    _check_unread(named_pipe)


def _check_unread(named_pipe: Path) -> None:
    """Check that no process has opened the pipe for reading."""
    with pytest.raises(OSError, match="No such device"):
        os.open(named_pipe, os.O_WRONLY | os.O_NONBLOCK)
