"""Jobs of one machine that download the same data set, from a server that stops half way until it is told to go on."""

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

from fitqueue.spec.data import DataSpec
from fitqueue.states import Reason
from tests.waiting import until
from workers.trainer.data import DataError, load
from workers.trainer.outcome import of_error

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


def begin(name: str, log: Path | None = None) -> BaseProcess:
    """A process that loads the data set, as a job's does."""
    spec = DataSpec(dataset=name, x="x_train", y="y_train")

    def run() -> None:
        with contextlib.redirect_stdout(log.open("w") if log is not None else io.StringIO()):
            load(spec, None)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def file_of_fashion_mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Keras load one file of it from this server. It knows no hash of these files, and takes what is there."""

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


def test_a_data_set_is_downloaded_once_whoever_asks(
    serve: Callable[[bytes], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that waits says so: in silence it would be ended."""
    monkeypatch.setattr("workers.keras_tools.downloads.WORD_SECONDS", 0.2)
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
    log = tmp_path / "log"
    second = begin("mnist", log)
    until(
        lambda: (log.exists() and log.read_text().count("Waiting") >= 2) or not second.is_alive(),
        SECONDS,
        "two words, or an end",
    )
    server.may_go_on.set()
    for process in (first, second):
        process.join(SECONDS)
    assert [first.exitcode, second.exitcode] == [0, 0]
    assert server.asked == 1


def test_half_a_file_that_a_killed_process_left_counts_for_nothing(
    serve: Callable[[bytes], Server], keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = np.random.default_rng(0).integers(0, 255, 500_000, dtype=np.uint8).tobytes()
    server = serve(gzip.compress(content))
    file_of_fashion_mnist(server, monkeypatch)
    killed = begin("fashion_mnist")
    assert server.half_is_sent.wait(SECONDS)
    folder = keras_home / "datasets" / "fashion-mnist"
    until(lambda: folder.exists() and any(path.stat().st_size for path in folder.iterdir()), SECONDS, "half a file")
    assert not (folder / "file.gz").exists()
    kill(killed)
    server.may_go_on.set()
    for _ in range(2):
        assert load_fashion_mnist() == content
    assert server.asked == 2
    assert [path.name for path in folder.iterdir()] == ["file.gz"]


def test_a_file_put_there_by_hand_outlives_a_process_that_is_killed_while_it_reads(
    serve: Callable[[bytes], Server], keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may have no network to fetch another."""
    server = serve(b"")
    by_hand = keras_home / "datasets" / "fashion-mnist" / "file.gz"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(gzip.compress(b"by hand"))
    reads = multiprocessing.get_context("fork").Event()

    def hang() -> None:
        reads.set()
        Event().wait()

    with monkeypatch.context() as hanging:
        hanging.setattr(keras.datasets.fashion_mnist, "load_data", hang)
        killed = begin("fashion_mnist")
        assert reads.wait(SECONDS)
    kill(killed)
    file_of_fashion_mnist(server, monkeypatch)
    assert load_fashion_mnist() == b"by hand"
    assert server.asked == 0


def test_what_was_fetched_and_is_something_else_is_not_kept(
    serve: Callable[[bytes], Server], keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that wants a login first answers everything, with its own page."""
    server = serve(b"<html>Log in</html>")
    server.may_go_on.set()
    file_of_fashion_mnist(server, monkeypatch)
    with pytest.raises(DataError, match="Not a gzipped file") as raised:
        load_fashion_mnist()
    assert not of_error(raised.value, training=False, nan_watched=False).may_pass
    assert list((keras_home / "datasets" / "fashion-mnist").iterdir()) == []


def test_a_disk_without_locks_does_without(serve: Callable[[bytes], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_lock(*_: Any) -> None:
        raise OSError("No locks available")

    monkeypatch.setattr("fcntl.flock", no_lock)
    server = serve(gzip.compress(b"content"))
    server.may_go_on.set()
    file_of_fashion_mnist(server, monkeypatch)
    assert load_fashion_mnist() == b"content"


@pytest.mark.parametrize("hangs_up", [False, True], ids=["is not there", "hangs up"])
def test_a_network_that_fails_may_be_well_tomorrow(
    hangs_up: bool, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/file"
        if hangs_up:
            Thread(target=lambda: listening.accept()[0].close()).start()
        else:
            listening.close()
        monkeypatch.setattr(
            keras.datasets.mnist, "load_data", lambda: keras.utils.get_file("mnist.npz", origin=address)
        )
        with pytest.raises(DataError) as raised:
            load(DataSpec(dataset="mnist", x="x_train", y="y_train"), None)
    ending = of_error(raised.value, training=False, nan_watched=False)
    assert (ending.reason, ending.may_pass) == (Reason.INVALID_DATA, True)
    assert [path.name for path in (keras_home / "datasets").iterdir()] == [".mnist.lock"]
