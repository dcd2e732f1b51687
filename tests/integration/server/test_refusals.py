"""What the server answers itself is a problem document, too."""

import pytest

from tests.integration.server.conftest import Server


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"GET / HTTP/9.1\r\n\r\n", 400, "malformed_request"),
        (b"G\x00T / HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nNo colon\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "malformed_request"),
        (b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
        (b"GET /" + b"a" * 70_000, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 10_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000, 431, "headers_too_large"),
    ],
)
def test_a_request_that_is_not_http_gets_a_problem_document(
    server: Server, content: bytes, status: int, code: str
) -> None:
    answer = server.exchange(content)

    assert answer.status == answer.problem["status"] == status
    assert answer.problem["code"] == code
    assert answer.problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/datasets"])
@pytest.mark.parametrize("chunks", [b"zz\r\nabc", b"-1\r\nabc\r\n0\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n"])
def test_a_malformed_chunk_is_answered_with_400(server: Server, path: str, chunks: bytes) -> None:
    head = server.head(f"POST {path}", "Transfer-Encoding: chunked", _TYPES[path])
    answer = server.exchange(head + chunks)

    assert answer.status == 400
    assert answer.problem["code"] == "malformed_request"
    assert not any("exception" in line for line in server.log_lines())


_TYPES = {
    "/api/v1/jobs": "Content-Type: application/json",
    "/api/v1/datasets": "Content-Type: application/octet-stream",
}
