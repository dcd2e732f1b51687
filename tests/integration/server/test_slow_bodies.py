"""Bodies that do not arrive, and answers that nobody reads."""

import select
import socket

from service.server.shares import MAX_PER_TOKEN
from tests.integration.server.conftest import Server, reply
from tests.waiting import until


def test_bodies_of_refused_requests_hold_no_thread(server: Server) -> None:
    for _ in range(70):
        server.send(server.head("POST /api/v1/jobs", "Content-Length: 1000000", token=False) + b"{")

    server.assert_answers()


def test_bodies_of_liveness_probes_hold_no_thread(server: Server) -> None:
    for _ in range(70):
        server.send(server.head("GET /healthz", "Content-Length: 1000000", token=False) + b"{")

    server.assert_answers()


def test_a_body_that_stalls_is_refused(impatient_server: Server) -> None:
    server = impatient_server
    answer = server.exchange(
        server.head("POST /api/v1/jobs", "Content-Type: application/json", "Content-Length: 100") + b"{"
    )

    assert answer.status == 408
    assert answer.problem["code"] == "request_timeout"
    assert not any("exception" in line for line in server.log_lines())


def test_an_upload_that_stalls_is_refused_and_leaves_no_file(impatient_server: Server) -> None:
    server = impatient_server
    answer = server.exchange(server.head("POST /api/v1/datasets", "Content-Length: 100") + b"PK")

    assert answer.status == 408
    assert not any(server.log.parent.glob("storage/incoming/*"))


def test_bodies_that_stall_take_no_more_than_the_share_of_their_token(server: Server) -> None:
    head = server.head("POST /api/v1/jobs", "Content-Type: application/json", "Content-Length: 100")
    sockets = [server.send(head + b"{") for _ in range(100)]

    server.assert_answers()
    # Which of them come first is up to the threads.
    until(lambda: len(_answered(sockets)) == len(sockets) - MAX_PER_TOKEN, 60, "all but a share are refused")
    refused = _answered(sockets)
    answers = [reply(sock) for sock in refused]
    assert {(answer.status, answer.problem["code"]) for answer in answers} == {(429, "too_many_requests")}
    served = next(sock for sock in sockets if sock not in refused)
    served.sendall(b" " * 98 + b"}")
    assert served.recv(65536).startswith(b"HTTP/1.1 422 ")


def _answered(sockets: list[socket.socket]) -> list[socket.socket]:
    return select.select(sockets, [], [], 0)[0]


def test_an_answer_that_nobody_reads_is_ended(impatient_server: Server) -> None:
    """The answers are larger than what the kernel holds for both sides."""
    sock = impatient_server.send(impatient_server.head("GET /api/v1/catalogue") * 200)
    port = sock.getsockname()[1]
    until(lambda: port in impatient_server.client_ports(), 60, "the connection is open")

    until(lambda: port not in impatient_server.client_ports(), 60, "the connection is closed")
