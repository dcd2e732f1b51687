"""When a head is complete, and when it never will be."""

import pytest

from fitqueue.errors import HeadersTooLarge, MalformedRequest, URITooLong
from service.server.head import MAX_BYTES, Head

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 5, len(REQUEST)])
def test_it_is_complete_with_its_last_byte(size: int) -> None:
    head = Head()
    for start in range(0, len(REQUEST), size):
        assert not head.is_complete
        head.add(REQUEST[start : start + size])

    assert head.is_complete
    assert head.fault is None
    assert head.take() == REQUEST
    assert not head
    assert not head.is_complete


def test_what_follows_the_head_is_not_looked_at() -> None:
    head = Head()
    head.add(REQUEST + b"\n\n\x00" + b"x" * MAX_BYTES)

    assert head.is_complete
    assert head.fault is None


@pytest.mark.parametrize("pieces", [[b"GET / HTTP/1.1\nHost"], [b"GET / HTTP/1.1\r\nHost: x", b"\n"]])
def test_a_line_without_crlf_is_a_fault(pieces: list[bytes]) -> None:
    head = Head()
    for piece in pieces:
        head.add(piece)

    assert isinstance(head.fault, MalformedRequest)


def test_a_line_that_ends_in_the_next_piece_is_no_fault() -> None:
    head = Head()
    head.add(b"GET / HTTP/1.1\r")
    head.add(b"\nHost: x\r\n")

    assert head.fault is None


def test_its_size_is_limited() -> None:
    line, fields = Head(), Head()
    line.add(b"GET /" + b"a" * MAX_BYTES)
    fields.add(b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_BYTES)

    assert isinstance(line.fault, URITooLong)
    assert isinstance(fields.fault, HeadersTooLarge)


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        (b"GET /healthz HTTP/1.1", True),
        (b"HEAD /healthz HTTP/1.1", True),
        (b"POST /healthz HTTP/1.1", False),
        (b"GET /healthz/x HTTP/1.1", False),
        (b"GET /api/v1/jobs?/healthz HTTP/1.1", False),
    ],
)
def test_what_it_asks_for(line: bytes, asks: bool) -> None:
    head = Head()
    head.add(line + b"\r\n\r\n")

    assert head.asks_for("/healthz") is asks
