"""What cannot be sent is refused before a byte is sent: all of a call at once, and nothing twice."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import keras
import pytest

from fitqueue.client import Client
from fitqueue.errors import FitQueueError, InvalidSpec
from fitqueue.fit import batches
from tests.trainer.fit.own_code import FOLLOW, OWN, OwnCallback, OwnLayer, X, Y, dense, endless, mine
from tests.trainer.fit.refused_code import CODE
from tests.trainer.fit.refused_data import DATA

REFUSED = {**CODE, **DATA}


class Recorder:
    """A server that counts connections, and refuses every request."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(60)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    server = Recorder()
    yield server
    server.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses to which this process has opened a socket since."""
    addresses: list[Any] = []
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def recording(self: socket.socket, address: Any) -> None:
        addresses.append(address)
        connect(self, address)

    def recording_ex(self: socket.socket, address: Any) -> int:
        addresses.append(address)
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", recording)
    monkeypatch.setattr(socket.socket, "connect_ex", recording_ex)
    return addresses


def refused(recorder: Recorder, opened: list[Any], arguments: dict[str, Any]) -> InvalidSpec:
    with Client(recorder.url) as client, pytest.raises(InvalidSpec) as caught:
        client.fit(arguments.pop("model"), **arguments, verbose=0)
    assert opened == []
    assert recorder.connections == 0
    return caught.value


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_has_its_words_and_sends_nothing(name: str, recorder: Recorder, opened: list[Any]) -> None:
    call, pointer, message = REFUSED[name]
    error = refused(recorder, opened, call())
    assert [(fault.pointer, fault.message) for fault in error.errors] == [(pointer, message)]


def test_what_is_valid_is_sent(recorder: Recorder, opened: list[Any]) -> None:
    """The recorders see what is sent, so that the tests above can fail."""
    arguments = dense()()
    with Client(recorder.url) as client, pytest.raises(FitQueueError):
        client.fit(arguments.pop("model"), **arguments, verbose=0)
    assert opened
    assert recorder.connections


def test_all_of_a_call_is_refused_at_once(recorder: Recorder, opened: list[Any]) -> None:
    model = keras.Sequential([keras.Input((4,)), OwnLayer(name="l"), keras.layers.Dense(1, activation=mine, name="d")])
    model.compile("sgd", loss=mine, metrics=[mine], run_eagerly=True)
    error = refused(
        recorder, opened,
        {"model": model, "x": X, "y": Y[:5], "callbacks": [OwnCallback()], "initial_epoch": 1, "epochs": 0,
         "class_weight": [1], "validation_data": X, "gpus": -1},
    )  # fmt: skip
    assert sorted(fault.pointer for fault in error.errors) == [
        "/callbacks/0", "/compile/loss", "/compile/metrics/0", "/compile/run_eagerly", "/data/validation", "/data/y",
        "/fit/class_weight", "/fit/epochs", "/fit/initial_epoch", "/model/config/layers/1",
        "/model/config/layers/2/config/activation", "/resources/gpus",
    ]  # fmt: skip
    assert f"callbacks[0] (OwnCallback): OwnCallback {OWN.replace('class', 'callback')} {FOLLOW}" in {
        fault.message for fault in error.errors
    }


def test_a_generator_without_an_end(recorder: Recorder, opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_BYTES", 10_000)
    error = refused(recorder, opened, {**dense()(), "x": endless(), "y": None})
    assert [(fault.pointer, fault.message) for fault in error.errors] == [
        ("/data/x",
         "x cannot be sent: It has yielded 0.0 GB in 32 batches and has not ended, and at most 0.0 GB can be sent. Let "
         "it end after one epoch, or use arrays.")
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, 3, "model", keras.layers.Dense(1)])
def test_what_is_not_a_model(value: Any, recorder: Recorder, opened: list[Any]) -> None:
    with Client(recorder.url) as client, pytest.raises(TypeError, match="Expected a Keras model, received"):
        client.fit(value, X, Y)
    assert opened == []
