"""Requests to a service: headers, retries, and answers that are not successful."""

import socket
import time
from typing import Any

import pytest

from fitqueue import errors
from fitqueue.client.configuration import Connection
from fitqueue.client.transport import Call, Transport

GET = Call("GET", "/jobs")
ONCE = Call("DELETE", "/jobs/j", repeatable=False)


def test_a_request_has_the_prefix_and_the_token(service: Any, transport: Transport) -> None:
    service.script = [service.Answer(body=b"[1]")]
    assert transport.request(GET).json() == [1]
    [request] = service.requests
    assert request.path == "/api/v1/jobs"
    assert request.headers["Authorization"] == "Bearer fq_secret"
    assert request.headers["User-Agent"].startswith("fitqueue/")


def test_without_a_token_there_is_no_authorization_header(service: Any) -> None:
    service.script = [service.Answer()]
    Transport(Connection(service.url)).request(GET)
    assert "Authorization" not in service.requests[0].headers


def test_a_local_address_bypasses_the_proxy_of_the_environment(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    service.script = [service.Answer()]
    assert Transport(Connection(service.url)).request(GET).status_code == 200


@pytest.mark.parametrize("error", errors.ERRORS_BY_CODE.values())
def test_a_problem_document_raises_the_error_with_its_code(
    service: Any, transport: Transport, error: type[errors.FitQueueError]
) -> None:
    fault = {"pointer": "/fit/epochs", "code": "too_small", "message": "Too small.", "received": 0, "expected": "≥ 1"}
    service.script = [service.problem(422, error.code, "A detail.", errors=[fault])]
    with pytest.raises(error) as caught:
        transport.request(GET)
    assert type(caught.value) is error
    assert caught.value.message == "A detail."
    assert caught.value.errors == [errors.Fault(**fault)]


def test_an_unknown_code_raises_the_root_class(service: Any, transport: Transport) -> None:
    service.script = [service.problem(418, "teapot", "Short and stout.")]
    with pytest.raises(errors.FitQueueError, match=r"^Short and stout\.$"):
        transport.request(GET)


def test_an_internal_error_names_the_request(service: Any, transport: Transport) -> None:
    service.script = [service.problem(500, "internal_server_error", "It failed.")]
    with pytest.raises(errors.InternalError, match=r"It failed\. \(request req_1\)"):
        transport.request(ONCE)


def test_a_short_outage_is_retried(service: Any, transport: Transport) -> None:
    busy = service.problem(503, "database_unavailable")
    busy.headers["Retry-After"] = "0"
    service.script = [busy, busy, busy, service.Answer(body=b'"done"')]
    assert transport.request(ONCE).json() == "done"
    assert len(service.requests) == 4


def test_a_user_who_sends_too_many_requests_waits_as_long_as_the_service_says(
    service: Any, transport: Transport
) -> None:
    limited = service.problem(429, "request_limit_reached")
    limited.headers["Retry-After"] = "1"
    service.script = [limited, service.Answer(body=b'"done"')]
    began = time.monotonic()
    assert transport.request(ONCE).json() == "done"
    assert time.monotonic() - began >= 1


def test_a_lasting_outage_raises_the_error_of_the_service(service: Any, transport: Transport) -> None:
    service.script = [service.problem(503, "database_unavailable", "Down.")]
    with pytest.raises(errors.DatabaseUnavailable, match=r"Down\."):
        transport.request(Call("GET", "/jobs", retry_seconds=0.3))
    assert len(service.requests) >= 2


@pytest.mark.parametrize("stops_at", [-1, 1], ids=["no status", "half a body"])
def test_a_request_is_repeated_if_its_answer_was_lost(service: Any, transport: Transport, stops_at: int) -> None:
    service.script = [service.Answer(stops_at=stops_at), service.Answer(body=b'"again"')]
    assert transport.request(GET).json() == "again"


def test_a_request_that_is_not_repeatable_is_sent_once(service: Any, transport: Transport) -> None:
    service.script = [service.Answer(stops_at=-1), service.Answer()]
    with pytest.raises(errors.Unreachable):
        transport.request(ONCE)
    assert len(service.requests) == 1


def test_each_try_makes_a_new_body(service: Any, transport: Transport) -> None:
    service.script = [service.Answer(stops_at=-1), service.Answer()]
    transport.request(Call("POST", "/datasets", body=lambda: iter([b"ab", b"c"]), headers={"Content-Length": "3"}))
    assert [request.body for request in service.requests] == [b"abc", b"abc"]


def test_a_refused_connection_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(errors.Unreachable, match=f"http://127.0.0.1:{port}.*refused.*Is the service running"):
        Transport(Connection(f"http://127.0.0.1:{port}")).request(Call("GET", "/jobs", retry_seconds=0.2))


def test_an_answer_of_another_program_is_unreachable(service: Any, transport: Transport) -> None:
    service.script = [service.Answer(404, b"<html>nginx</html>", {"Content-Type": "text/html"})]
    with pytest.raises(errors.Unreachable, match=r"404 Not Found.*another program"):
        transport.request(GET)


def test_a_redirect_is_unreachable_and_names_its_target(service: Any, transport: Transport) -> None:
    service.script = [service.Answer(301, b"", {"Location": "https://elsewhere/"})]
    with pytest.raises(errors.Unreachable, match="redirects to https://elsewhere/"):
        transport.request(GET)


def test_not_modified_is_not_an_error(service: Any, transport: Transport) -> None:
    service.script = [service.Answer(304, b"")]
    assert transport.request(GET).status_code == 304
