"""Downloads that another server gives: the service answers with its address."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fitqueue import errors
from fitqueue.client import files
from fitqueue.client.transport import Call, Transport

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIGNED = "/bucket/key?X-Amz-Signature=abc"


@pytest.fixture
def bucket(service: Any) -> Iterator[Any]:
    """Another server, on a port of its own. It tags files in its own way."""
    running = type(service)()
    running.script = [whole(service)]
    yield running
    running.close()


def whole(service: Any, *, stops_at: int | None = None) -> Any:
    def answer(request: Any) -> Any:
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        return service.Answer(206 if start else 200, CONTENT[start:], {"ETag": '"of-the-bucket-2"'}, stops_at)

    return answer


def leads_to(service: Any, url: str, **headers: str) -> Any:
    return service.Answer(302, b"", {"Location": url, "ETag": f'"{SHA256}"', **headers})


def test_the_file_comes_from_there_and_the_token_stays_here(
    service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    service.script = [leads_to(service, bucket.url + SIGNED)]
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT
    [asked], [sent] = service.requests, bucket.requests
    assert asked.headers["Authorization"] == "Bearer fq_secret"
    assert sent.path == SIGNED
    assert "fq_secret" not in str(sent.headers)
    assert "Authorization" not in sent.headers


def test_a_path_of_the_same_server_gets_no_token_either(service: Any, transport: Transport, tmp_path: Path) -> None:
    service.script = [leads_to(service, SIGNED), whole(service)]
    files.download(transport, "/f", tmp_path / "best")
    assert "Authorization" not in service.requests[1].headers


def test_a_broken_download_asks_the_service_again_and_goes_on(
    service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    service.script = [leads_to(service, bucket.url + SIGNED)]
    bucket.script = [whole(service, stops_at=1000), whole(service)]
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT
    assert [request.headers.get("Range") for request in bucket.requests] == [None, "bytes=1000-"]
    # The bucket does not know this tag, and would give the whole file again.
    assert "If-Range" not in bucket.requests[1].headers
    assert service.requests[1].headers["If-Range"] == f'"{SHA256}"'


def test_of_another_content_nothing_is_gone_on_with(
    service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    other = leads_to(service, bucket.url + SIGNED)
    other.headers["ETag"] = f'"{"0" * 64}"'
    service.script = [other, leads_to(service, bucket.url + SIGNED)]
    bucket.script = [whole(service, stops_at=1000), whole(service)]
    files.download(transport, "/f", tmp_path / "best")
    assert [request.headers.get("Range") for request in bucket.requests] == [None, None]
    assert (tmp_path / "best").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_address_that_holds_no_longer_is_asked_for_again(
    status: int, service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    """It ran out, or a better file took the place of this one."""
    service.script = [leads_to(service, bucket.url + SIGNED)]
    bucket.script = [service.Answer(status, b"<Error/>"), whole(service)]
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT
    assert len(service.requests) == 2


def test_a_server_that_cannot_be_reached(
    service: Any, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONG_RETRY_SECONDS", 0.5)
    service.script = [leads_to(service, "http://127.0.0.1:1/bucket/key")]
    with pytest.raises(errors.Unreachable, match="broke off after 0 bytes"):
        files.download(transport, "/f", tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_what_arrives_is_compared_with_what_the_service_said(
    service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    service.script = [leads_to(service, bucket.url + SIGNED)]
    bucket.script = [service.Answer(200, CONTENT[::-1])]
    with pytest.raises(errors.ChecksumMismatch):
        files.download(transport, "/f", tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_that_sends_people_to_its_page_is_told(service: Any, transport: Transport, tmp_path: Path) -> None:
    service.script = [service.Answer(302, b"", {"Location": "https://login.example.org/"})]
    with pytest.raises(errors.Unreachable, match=r"points to https://login\.example\.org/"):
        files.download(transport, "/f", tmp_path / "best")


def test_nothing_but_a_download_is_led_elsewhere(service: Any, bucket: Any, transport: Transport) -> None:
    service.script = [leads_to(service, bucket.url + SIGNED)]
    with pytest.raises(errors.Unreachable):
        transport.request(Call("GET", "/jobs"))
    assert bucket.requests == []
