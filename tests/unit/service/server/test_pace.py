"""How slow a client may be."""

import socket
import threading
from collections.abc import Iterator

import pytest

from service.server import pace
from service.server.pace import MIN_BYTES_PER_SECOND, STALL_SECONDS, Pace, PacedSocket, TooSlow


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PacedSocket, socket.socket]]:
    """A socket with little patience, and its client."""
    monkeypatch.setattr(pace, "STALL_SECONDS", 0.2)
    ours, theirs = socket.socketpair()
    with PacedSocket(fileno=ours.detach()) as paced, theirs:
        paced.begin_request()
        yield paced, theirs


def test_who_keeps_the_pace_may_take_for_ever() -> None:
    pace = Pace(STALL_SECONDS)
    for _ in range(10_000):
        pace.advance(waited=10.0, moved=10 * MIN_BYTES_PER_SECOND)

    assert pace.seconds_left == STALL_SECONDS


def test_who_is_slower_runs_out_of_time() -> None:
    pace = Pace(STALL_SECONDS)
    for _ in range(10):
        pace.advance(waited=STALL_SECONDS / 5, moved=int(MIN_BYTES_PER_SECOND * STALL_SECONDS / 10))

    assert pace.seconds_left == pytest.approx(0, abs=0.01)


def test_a_fast_start_is_no_credit() -> None:
    pace = Pace(STALL_SECONDS)
    pace.advance(waited=0.1, moved=10**9)
    pace.advance(waited=STALL_SECONDS, moved=1)

    assert pace.seconds_left == pytest.approx(0, abs=0.01)


def test_a_body_that_stops_raises(sockets: tuple[PacedSocket, socket.socket]) -> None:
    paced, client = sockets
    client.sendall(b"x")

    assert paced.recv(10) == b"x"
    with pytest.raises(TooSlow):
        paced.recv(10)


def test_the_rest_of_a_body_has_no_more_time_for_what_arrives(
    sockets: tuple[PacedSocket, socket.socket],
) -> None:
    paced, client = sockets
    paced.begin_to_drain(0.1)
    client.sendall(b"x" * 60_000)

    assert len(paced.recv(60_000)) == 60_000
    with pytest.raises(TooSlow):
        paced.recv(10)


def test_an_answer_that_nobody_reads_raises(sockets: tuple[PacedSocket, socket.socket]) -> None:
    with pytest.raises(TooSlow):
        sockets[0].sendall(b"x" * 64 * 1024**2)


def test_an_answer_that_is_read_arrives_complete(sockets: tuple[PacedSocket, socket.socket]) -> None:
    paced, client = sockets
    content = bytes(range(256)) * 40_000
    received = bytearray()

    def read() -> None:
        while len(received) < len(content):
            received.extend(client.recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    paced.begin_request()
    paced.sendall(content)
    reader.join(60)

    assert received == content


def test_a_shorter_timeout_of_the_socket_stays(sockets: tuple[PacedSocket, socket.socket]) -> None:
    paced, _ = sockets
    paced.settimeout(0.01)

    with pytest.raises(TimeoutError):
        paced.recv(10)
    assert paced.gettimeout() == 0.01


def test_a_socket_that_does_not_block_does_not_wait(sockets: tuple[PacedSocket, socket.socket]) -> None:
    paced, _ = sockets
    paced.setblocking(False)

    with pytest.raises(BlockingIOError):
        paced.recv(10)
