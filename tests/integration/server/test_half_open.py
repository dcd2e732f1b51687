"""Requests whose head never ends: they hold no thread, and not their connection for long."""

import time

from service.server.connections import MAX_PER_CLIENT
from tests.integration.server.conftest import Server, reply
from tests.waiting import until

HALF = b"GET /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n"


def test_half_open_requests_stop_nobody_else(server: Server) -> None:
    for _ in range(70):
        server.send(HALF)

    server.assert_answers()


def test_silent_connections_stop_nobody_else(server: Server) -> None:
    for _ in range(70):
        server.connect()

    server.assert_answers()


def test_a_head_has_limited_time_however_it_is_sent(impatient_server: Server) -> None:
    server = impatient_server
    silent = server.send(HALF)
    dripping = server.send(HALF)
    began = time.monotonic()

    def drip() -> bool:
        try:
            dripping.sendall(b"X")
        except OSError:
            return True
        return time.monotonic() - began > 60

    until(drip, 90, "the dripping connection is closed", pause=0.2)
    assert time.monotonic() - began < 60
    answer = reply(silent)
    assert answer.status == 408
    assert answer.problem["code"] == "request_timeout"
    assert len(answer.problem["request_id"]) == 32


def test_more_connections_than_a_client_may_have_push_out_its_oldest(server: Server) -> None:
    other = server.send(HALF, address="127.0.0.2")
    first = server.send(HALF)
    for _ in range(MAX_PER_CLIENT):
        server.send(HALF)

    assert first.recv(1) == b""
    server.assert_answers()
    other.sendall(b"Connection: close\r\n\r\n")
    assert reply(other).status == 401


def test_more_connections_than_all_may_have_push_out_the_oldest(server: Server) -> None:
    first = server.send(HALF, address="127.0.0.9")
    for number in range(4):
        for _ in range(MAX_PER_CLIENT):
            server.send(HALF, address=f"127.0.0.{number + 2}")

    assert first.recv(1) == b""
    server.assert_answers()


def test_a_request_in_small_pieces_is_answered(server: Server) -> None:
    sock = server.connect()
    for byte in server.head("GET /api/v1/jobs", "Connection: close"):
        sock.sendall(bytes([byte]))

    assert reply(sock).status == 200
