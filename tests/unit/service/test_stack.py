"""When `fitqueue up` is ready, and where it listens."""

import socket
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from fitqueue.views import Page, Readiness, WorkerView
from service.checker import STARTING
from service.processes import free_port, host_and_port, url_on_this_machine
from service.stack import _checker_if_ready

STARTED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def worker(*, alive: bool = True, started_at: datetime = STARTED_AT) -> WorkerView:
    return WorkerView(
        id="wk", host="h", pools=["default"], slots=1, devices=[], gpus=[], gpus_held=[], jobs=[],
        started_at=started_at, last_seen_at=started_at, alive=alive,
    )  # fmt: skip


def checker_if_ready(checker: str, workers: list[WorkerView], wanted: int = 1, status: int = 200) -> str | None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/readyz":
            body = Readiness(ready=status == 200, parts={"checker": checker}).model_dump_json()
            return httpx.Response(status, text=body)
        return httpx.Response(200, text=Page[WorkerView](data=workers).model_dump_json())

    with httpx.Client(base_url="http://test", transport=httpx.MockTransport(answer)) as http:
        return _checker_if_ready(http, STARTED_AT, wanted)


def test_a_stack_is_ready_when_its_checker_is() -> None:
    assert checker_if_ready(STARTING, [worker()]) is None
    assert checker_if_ready("ok", [worker()]) == "ok"


def test_a_checker_that_cannot_start_does_not_stop_the_stack() -> None:
    problem = "it exited before it was ready"
    assert checker_if_ready(problem, [worker()]) == problem


def test_a_stack_is_not_ready_without_each_of_its_workers() -> None:
    killed, dead = worker(started_at=STARTED_AT - timedelta(seconds=9)), worker(alive=False)
    for workers, wanted in (([], 1), ([killed], 1), ([dead], 1), ([worker(), killed], 2)):
        assert checker_if_ready("ok", workers, wanted) is None
    assert checker_if_ready("ok", [worker(), worker(), killed], 2) == "ok"


def test_a_stack_is_not_ready_while_its_api_is_not() -> None:
    assert checker_if_ready("ok", [worker()], status=503) is None


def test_the_next_port_is_used_if_one_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port, "127.0.0.2") > port
        assert free_port(port, "127.0.0.3") == port, "it is taken at the other address only"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_an_error_that_names_it(host: str) -> None:
    with pytest.raises(OSError, match=rf"^Nothing can listen at {host}:8765: "):
        free_port(8765, host)


@pytest.mark.parametrize(
    ("host", "address", "url"),
    [
        ("127.0.0.1", "127.0.0.1:80", "http://127.0.0.1:80"),
        ("0.0.0.0", "0.0.0.0:80", "http://127.0.0.1:80"),
        ("::", "[::]:80", "http://[::1]:80"),
        ("::1", "[::1]:80", "http://[::1]:80"),
        ("gpu-box", "gpu-box:80", "http://gpu-box:80"),
    ],
)
def test_clients_on_this_machine_find_the_api(host: str, address: str, url: str) -> None:
    assert host_and_port(host, 80) == address
    assert url_on_this_machine(host, 80) == url
