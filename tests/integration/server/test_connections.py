"""What honest clients do with a connection."""

import hashlib
import io
import os
import signal
import time

import numpy as np

from tests.integration.server.conftest import Serve, Server, reply
from tests.waiting import until


def test_a_connection_serves_several_requests(server: Server) -> None:
    sock = server.send(server.head("GET /api/v1/jobs"))
    assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
    sock.sendall(server.head("GET /healthz", "Connection: close"))

    assert reply(sock).body == b"ok\n"


def test_requests_that_arrive_together_are_answered_in_order(server: Server) -> None:
    answers = server.exchange(
        server.head("GET /healthz")
        + server.head("GET /api/v1/nothing")
        + server.head("GET /healthz", "Connection: close")
    )

    assert answers.status == 200
    assert answers.body.startswith(b"ok\nHTTP/1.1 404 NOT FOUND")
    assert answers.body.endswith(b"ok\n")


def test_a_connection_that_waits_for_its_next_request_is_closed(server: Server) -> None:
    sock = server.send(server.head("GET /healthz"))

    assert reply(sock).body == b"ok\n"


def test_a_request_that_arrives_while_the_server_is_busy_is_answered(serve: Serve) -> None:
    server = serve(TEST_ROUND_SECONDS="2.5")  # longer than a connection may wait for its next request
    with server.sockets:
        sock = server.send(server.head("GET /healthz"))
        answer = b""
        while not answer.endswith(b"ok\n"):
            answer += sock.recv(65536)
        sock.sendall(server.head("GET /healthz", "Connection: close"))
        assert reply(sock).body == b"ok\n"


def test_a_request_in_progress_is_answered_before_the_server_stops(serve: Serve) -> None:
    server = serve()
    body = os.urandom(1000)
    sock = server.send(server.head("POST /api/v1/datasets", f"Content-Length: {len(body)}") + body[:500])
    until(lambda: any(server.log.parent.glob("storage/incoming/*")), 120, "the body is being read")
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    sock.sendall(body[500:])

    assert reply(sock).status == 422
    assert server.process.wait(300) == 0


def test_a_large_body_arrives_as_it_was_sent(server: Server) -> None:
    npz = _npz_of(8 * 1024**2)
    answer = server.exchange(
        server.head("POST /api/v1/datasets", f"Content-Length: {len(npz)}", "Connection: close") + npz
    )

    assert answer.status == 201
    assert hashlib.sha256(npz).hexdigest().encode() in answer.body


def _npz_of(size: int) -> bytes:
    file = io.BytesIO()
    np.savez(file, x=np.random.default_rng(7).random(size // 8))
    return file.getvalue()
