"""Jobs of one machine that download the same data set, from a server that stops half way until it is told to go on."""

import gzip
import hashlib
import io
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.spec.data import DataSpec
from workers.trainer.data import load

SECONDS = 60.0


class Server(ThreadingHTTPServer):
    """Serves these bytes, whatever is asked for; the second half of them when it may."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked = 0
        self.half_is_sent, self.may_go_on = Event(), Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:
                self.asked += 1
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                middle = len(content) // 2
                handler.wfile.write(content[:middle])
                handler.wfile.flush()
                self.half_is_sent.set()
                self.may_go_on.wait(SECONDS)
                handler.wfile.write(content[middle:])

            def log_message(handler, *arguments: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}/file"


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Server]]:
    servers: list[Server] = []

    def serve(content: bytes) -> Server:
        servers.append(Server(content))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield serve
    for server in servers:
        server.may_go_on.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    return tmp_path


def begin(name: str) -> BaseProcess:
    """A process that loads the data set, as a job's does."""
    spec = DataSpec(dataset=name, x="x_train", y="y_train")
    process = multiprocessing.get_context("fork").Process(target=load, args=(spec, None))
    process.start()
    return process


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        Event().wait(0.02)


def waits_for_a_lock(process: BaseProcess) -> bool:
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any("->" in line and str(process.pid) in line for line in lines)


def test_a_data_set_is_downloaded_once_whoever_asks(
    serve: Callable[[bytes], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {name: np.arange(5_000) for name in ("x_train", "y_train", "x_test", "y_test")}
    archive = io.BytesIO()
    np.savez(archive, **arrays)
    server = serve(archive.getvalue())
    sha256 = hashlib.sha256(server.content).hexdigest()

    def load_data() -> Any:
        path = keras.utils.get_file("mnist.npz", origin=server.address, file_hash=sha256)
        with np.load(path) as found:
            return (found["x_train"], found["y_train"]), (found["x_test"], found["y_test"])

    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    first = begin("mnist")
    assert server.half_is_sent.wait(SECONDS)
    second = begin("mnist")
    until(lambda: waits_for_a_lock(second) or server.asked > 1 or not second.is_alive())
    server.may_go_on.set()
    for process in (first, second):
        process.join(SECONDS)
    assert [first.exitcode, second.exitcode] == [0, 0]
    assert server.asked == 1


def test_half_a_file_that_a_killed_process_left_is_fetched_anew(
    serve: Callable[[bytes], Server], keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras knows no hash of Fashion-MNIST's files, and takes what is there."""
    content = np.random.default_rng(0).integers(0, 255, 500_000, dtype=np.uint8).tobytes()
    server = serve(gzip.compress(content))

    def load_data() -> Any:
        path = keras.utils.get_file("file.gz", origin=server.address, cache_subdir="datasets/fashion-mnist")
        with gzip.open(path) as file:
            array = np.frombuffer(file.read(), np.uint8)
        return (array, array), (array, array)

    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", load_data)
    killed = begin("fashion_mnist")
    assert server.half_is_sent.wait(SECONDS)
    half = keras_home / "datasets" / "fashion-mnist" / "file.gz"
    until(lambda: half.exists() and half.stat().st_size > 0)
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join(SECONDS)
    server.may_go_on.set()
    for _ in range(2):
        loaded = load(DataSpec(dataset="fashion_mnist", x="x_train", y="y_train"), None)
        assert np.asarray(loaded.train.x).tobytes() == content
    assert server.asked == 2
    assert not list(keras_home.rglob("*.begun"))
