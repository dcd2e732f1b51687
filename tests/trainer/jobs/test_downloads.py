"""Jobs on one machine that download the same data set, from a server that sends the second half when a test says so."""

import contextlib
import gzip
import hashlib
import io
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.spec.fields.data import DataSpec
from fitqueue.states import Reason
from tests.waiting import until
from workers.keras_tools.npz import DataError
from workers.trainer.data import load
from workers.trainer.outcome import of_error

SECONDS = 60.0


class Server(ThreadingHTTPServer):
    """Serves the same bytes for every request, the second half of them once `may_send_rest` is set."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.requests = 0
        self.has_sent_half, self.may_send_rest = Event(), Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:
                self.requests += 1
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                middle = len(content) // 2
                handler.wfile.write(content[:middle])
                handler.wfile.flush()
                self.has_sent_half.set()
                self.may_send_rest.wait(SECONDS)
                handler.wfile.write(content[middle:])

            def log_message(handler, *arguments: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}/file"


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Server]]:
    """Return a function that starts a server of these bytes."""
    servers: list[Server] = []

    def serve(content: bytes) -> Server:
        servers.append(Server(content))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield serve
    for server in servers:
        server.may_send_rest.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give Keras an empty folder."""
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    return tmp_path


def start_loading(name: str, log: Path | None = None) -> BaseProcess:
    """Start a process that loads the data set as a job does; return it."""
    spec = DataSpec(dataset=name, x="x_train", y="y_train")

    def run() -> None:
        with contextlib.redirect_stdout(log.open("w") if log is not None else io.StringIO()):
            load(spec, None)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def serve_fashion_mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Keras load one file of Fashion-MNIST from this server. It knows no hash, and accepts an existing file."""

    def load_data() -> Any:
        path = keras.utils.get_file("file.gz", origin=server.address, cache_subdir="datasets/fashion-mnist")
        with gzip.open(path) as file:
            array = np.frombuffer(file.read(), np.uint8)
        return (array, array), (array, array)

    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", load_data)


def load_fashion_mnist() -> bytes:
    return np.asarray(load(DataSpec(dataset="fashion_mnist", x="x_train", y="y_train"), None).train.x).tobytes()


def kill(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(SECONDS)


def test_a_data_set_is_downloaded_once_for_all_jobs(
    serve: Callable[[bytes], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting process prints messages, because a silent one would be killed."""
    monkeypatch.setattr("workers.keras_tools.downloads.WAITING_MESSAGE_SECONDS", 0.2)
    arrays = {name: np.arange(5_000) for name in ("x_train", "y_train", "x_test", "y_test")}
    archive = io.BytesIO()
    np.savez(archive, **arrays)
    server = serve(archive.getvalue())
    sha256 = hashlib.sha256(server.content).hexdigest()

    def load_data() -> Any:
        path = keras.utils.get_file("mnist.npz", origin=server.address, file_hash=sha256)
        with np.load(path) as archive:
            return (archive["x_train"], archive["y_train"]), (archive["x_test"], archive["y_test"])

    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    first = start_loading("mnist")
    assert server.has_sent_half.wait(SECONDS)
    log = tmp_path / "log"
    second = start_loading("mnist", log)
    until(
        lambda: (log.exists() and log.read_text().count("Waiting") >= 2) or not second.is_alive(),
        SECONDS,
        "two messages, or the end of the process",
    )
    server.may_send_rest.set()
    for process in (first, second):
        process.join(SECONDS)
    assert [first.exitcode, second.exitcode] == [0, 0]
    assert server.requests == 1


def test_half_a_file_of_a_killed_process_is_downloaded_again(
    serve: Callable[[bytes], Server], keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = np.random.default_rng(0).integers(0, 255, 500_000, dtype=np.uint8).tobytes()
    server = serve(gzip.compress(content))
    serve_fashion_mnist(server, monkeypatch)
    killed = start_loading("fashion_mnist")
    assert server.has_sent_half.wait(SECONDS)
    folder = keras_home / "datasets" / "fashion-mnist"
    until(lambda: folder.exists() and any(path.stat().st_size for path in folder.iterdir()), SECONDS, "half a file")
    assert not (folder / "file.gz").exists()
    kill(killed)
    server.may_send_rest.set()
    for _ in range(2):
        assert load_fashion_mnist() == content
    assert server.requests == 2
    assert [path.name for path in folder.iterdir()] == ["file.gz"]


def test_a_file_put_there_by_hand_survives_a_process_that_is_killed_while_it_reads(
    serve: Callable[[bytes], Server], keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may have no network to download it again."""
    server = serve(b"")
    by_hand = keras_home / "datasets" / "fashion-mnist" / "file.gz"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(gzip.compress(b"by hand"))
    is_reading = multiprocessing.get_context("fork").Event()

    def hang() -> None:
        is_reading.set()
        Event().wait()

    with monkeypatch.context() as hanging:
        hanging.setattr(keras.datasets.fashion_mnist, "load_data", hang)
        killed = start_loading("fashion_mnist")
        assert is_reading.wait(SECONDS)
    kill(killed)
    serve_fashion_mnist(server, monkeypatch)
    assert load_fashion_mnist() == b"by hand"
    assert server.requests == 0


def test_a_download_of_something_else_is_deleted(
    serve: Callable[[bytes], Server], keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that requires a login answers every request with its login page."""
    server = serve(b"<html>Log in</html>")
    server.may_send_rest.set()
    serve_fashion_mnist(server, monkeypatch)
    with pytest.raises(DataError, match="Not a gzipped file") as raised:
        load_fashion_mnist()
    assert not of_error(raised.value, in_fit=False, terminates_on_nan=False).may_recover
    assert list((keras_home / "datasets" / "fashion-mnist").iterdir()) == []


def test_a_disk_without_locks_is_used_without_them(
    serve: Callable[[bytes], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_lock(*_: Any) -> None:
        raise OSError("No locks available")

    monkeypatch.setattr("fcntl.flock", no_lock)
    server = serve(gzip.compress(b"content"))
    server.may_send_rest.set()
    serve_fashion_mnist(server, monkeypatch)
    assert load_fashion_mnist() == b"content"


@pytest.mark.parametrize("closes_connection", [False, True], ids=["refused", "closed"])
def test_a_network_error_may_recover(
    closes_connection: bool, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/file"
        if closes_connection:
            Thread(target=lambda: listener.accept()[0].close()).start()
        else:
            listener.close()
        monkeypatch.setattr(
            keras.datasets.mnist, "load_data", lambda: keras.utils.get_file("mnist.npz", origin=address)
        )
        with pytest.raises(DataError) as raised:
            load(DataSpec(dataset="mnist", x="x_train", y="y_train"), None)
    outcome = of_error(raised.value, in_fit=False, terminates_on_nan=False)
    assert (outcome.reason, outcome.may_recover) == (Reason.INVALID_DATA, True)
    assert [path.name for path in (keras_home / "datasets").iterdir()] == [".mnist.lock"]
