"""Downloads for which the service redirects to another server."""

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
    """Another server, on a port of its own, with ETags of its own."""
    other_service = type(service)()
    other_service.script = [send_file(service)]
    yield other_service
    other_service.close()


def send_file(service: Any, *, stops_at: int | None = None) -> Any:
    def answer(request: Any) -> Any:
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        return service.Answer(206 if start else 200, CONTENT[start:], {"ETag": '"of-the-bucket-2"'}, stops_at)

    return answer


def redirect(service: Any, url: str, **headers: str) -> Any:
    return service.Answer(302, b"", {"Location": url, "ETag": f'"{SHA256}"', **headers})


def test_the_other_server_sends_the_file_and_does_not_get_the_token(
    service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    service.script = [redirect(service, bucket.url + SIGNED)]
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT
    [to_service], [to_bucket] = service.requests, bucket.requests
    assert to_service.headers["Authorization"] == "Bearer fq_secret"
    assert to_bucket.path == SIGNED
    assert "fq_secret" not in str(to_bucket.headers)
    assert "Authorization" not in to_bucket.headers


def test_a_redirect_to_the_same_server_carries_no_token(service: Any, transport: Transport, tmp_path: Path) -> None:
    service.script = [redirect(service, SIGNED), send_file(service)]
    files.download(transport, "/f", tmp_path / "best")
    assert "Authorization" not in service.requests[1].headers


def test_an_interrupted_download_is_resumed_through_the_service(
    service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    service.script = [redirect(service, bucket.url + SIGNED)]
    bucket.script = [send_file(service, stops_at=1000), send_file(service)]
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT
    assert [request.headers.get("Range") for request in bucket.requests] == [None, "bytes=1000-"]
    # The bucket does not know this ETag and would send the whole file again.
    assert "If-Range" not in bucket.requests[1].headers
    assert service.requests[1].headers["If-Range"] == f'"{SHA256}"'


def test_a_download_restarts_if_the_content_has_changed(
    service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    other_content = redirect(service, bucket.url + SIGNED)
    other_content.headers["ETag"] = f'"{"0" * 64}"'
    service.script = [other_content, redirect(service, bucket.url + SIGNED)]
    bucket.script = [send_file(service, stops_at=1000), send_file(service)]
    files.download(transport, "/f", tmp_path / "best")
    assert [request.headers.get("Range") for request in bucket.requests] == [None, None]
    assert (tmp_path / "best").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_redirect_that_no_longer_works_is_requested_again(
    status: int, service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    """The signature has expired, or a better file has replaced this one."""
    service.script = [redirect(service, bucket.url + SIGNED)]
    bucket.script = [service.Answer(status, b"<Error/>"), send_file(service)]
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT
    assert len(service.requests) == 2


def test_an_unreachable_server_is_an_error_after_all_retries(
    service: Any, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONG_RETRY_SECONDS", 0.5)
    service.script = [redirect(service, "http://127.0.0.1:1/bucket/key")]
    with pytest.raises(errors.Unreachable, match="broke off after 0 bytes"):
        files.download(transport, "/f", tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_verified_against_the_etag_of_the_service(
    service: Any, bucket: Any, transport: Transport, tmp_path: Path
) -> None:
    service.script = [redirect(service, bucket.url + SIGNED)]
    bucket.script = [service.Answer(200, CONTENT[::-1])]
    with pytest.raises(errors.ChecksumMismatch):
        files.download(transport, "/f", tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_to_a_login_page_is_an_error(service: Any, transport: Transport, tmp_path: Path) -> None:
    service.script = [service.Answer(302, b"", {"Location": "https://login.example.org/"})]
    with pytest.raises(errors.Unreachable, match=r"redirects to https://login\.example\.org/"):
        files.download(transport, "/f", tmp_path / "best")


def test_only_downloads_follow_redirects(service: Any, bucket: Any, transport: Transport) -> None:
    service.script = [redirect(service, bucket.url + SIGNED)]
    with pytest.raises(errors.Unreachable):
        transport.request(Call("GET", "/jobs"))
    assert bucket.requests == []
