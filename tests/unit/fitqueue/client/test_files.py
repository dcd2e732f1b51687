"""Downloads that are verified and resumed, and uploads in chunks."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitqueue import errors
from fitqueue.client import files
from fitqueue.client.transport import Transport

CONTENT = bytes(range(256)) * 400
OTHER = CONTENT[::-1] + b"!"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def partial_file(target: Path, content: bytes) -> Path:
    return target.with_name(f".{target.name}.{sha256(content)[:16]}.part")


@pytest.fixture
def serve(service: Any) -> Callable[..., Any]:
    """Answers with a file as the service does: with its ETag, and from the offset in Range if If-Range matches."""

    def make(content: bytes, *, stops_at: int | None = None, etag: str | None = None) -> Any:
        tag = f'"{sha256(content)}"' if etag is None else etag

        def answer(request: Any) -> Any:
            start = 0
            if "Range" in request.headers and request.headers["If-Range"] == tag:
                start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            return service.Answer(206 if start else 200, content[start:], {"ETag": tag}, stops_at)

        return answer

    return make


def test_a_file_arrives_whole(service: Any, transport: Transport, serve: Any, tmp_path: Path) -> None:
    service.script = [serve(CONTENT)]
    progress: list[tuple[int, int]] = []
    files.download(transport, "/f", tmp_path / "best", lambda done, total: progress.append((done, total)))
    assert (tmp_path / "best").read_bytes() == CONTENT
    assert progress[0] == (0, len(CONTENT))
    assert progress[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize("name", ["模型-01.keras", "a" * 255, "模" * 82 + ".h5", "🙂" * 63])
def test_every_name_that_the_file_system_allows_can_be_written(
    name: str, service: Any, transport: Transport, serve: Any, tmp_path: Path
) -> None:
    service.script = [serve(CONTENT, stops_at=1000), serve(CONTENT)]
    files.download(transport, "/f", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["模" * 190 + "-01.keras", "é" * 200, "🙂" * 200, "x" * 300])
def test_a_name_that_is_too_long_is_shortened_and_keeps_its_end(name: str, tmp_path: Path) -> None:
    shortened = files.fitting_name(name)
    (tmp_path / shortened).touch()
    assert shortened[:20] == name[:20]
    assert shortened.endswith(name[-40:])
    assert len(shortened.encode()) > 250


def test_an_interrupted_download_is_resumed(service: Any, transport: Transport, serve: Any, tmp_path: Path) -> None:
    service.script = [serve(CONTENT, stops_at=1000), serve(CONTENT, stops_at=500), serve(CONTENT)]
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT
    assert [request.headers.get("Range") for request in service.requests] == [None, "bytes=1000-", "bytes=1500-"]


def test_a_download_restarts_if_the_content_has_changed(
    service: Any, transport: Transport, serve: Any, tmp_path: Path
) -> None:
    service.script = [serve(CONTENT, stops_at=1000), serve(OTHER)]
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == OTHER


def test_the_download_of_an_earlier_call_is_resumed(
    service: Any, transport: Transport, serve: Any, tmp_path: Path
) -> None:
    service.script = [serve(CONTENT)]
    partial_file(tmp_path / "best", CONTENT).write_bytes(CONTENT[:7])
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT
    assert service.requests[-1].headers["Range"] == "bytes=7-"


def test_a_complete_partial_file_needs_no_more_bytes(
    service: Any, transport: Transport, serve: Any, tmp_path: Path
) -> None:
    service.script = [serve(CONTENT, stops_at=0)]
    partial_file(tmp_path / "best", CONTENT).write_bytes(CONTENT)
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_is_replaced(
    service: Any, transport: Transport, serve: Any, tmp_path: Path
) -> None:
    service.script = [serve(CONTENT)]
    partial_file(tmp_path / "best", CONTENT).write_bytes(CONTENT + b"x")
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT


def test_a_service_without_ranges_sends_the_file_again(service: Any, transport: Transport, tmp_path: Path) -> None:
    whole = {"ETag": f'"{sha256(CONTENT)}"'}
    service.script = [service.Answer(200, CONTENT, whole, 1000), service.Answer(200, CONTENT, whole)]
    files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == CONTENT


def test_content_with_another_checksum_is_discarded(
    service: Any, transport: Transport, serve: Any, tmp_path: Path
) -> None:
    service.script = [serve(CONTENT, etag=f'"{sha256(OTHER)}"')]
    (tmp_path / "best").write_bytes(b"what was there before")
    with pytest.raises(errors.ChecksumMismatch, match=sha256(OTHER)):
        files.download(transport, "/f", tmp_path / "best")
    assert (tmp_path / "best").read_bytes() == b"what was there before"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize("etag", ["", '"v1"', '"../../../etc/passwd"'])
def test_an_etag_that_is_not_a_sha256_is_refused(
    service: Any, transport: Transport, serve: Any, tmp_path: Path, etag: str
) -> None:
    service.script = [serve(CONTENT, etag=etag)]
    with pytest.raises(errors.ChecksumMismatch, match="did not announce a sha256: its ETag is"):
        files.download(transport, "/f", tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_download_leaves_no_file(service: Any, transport: Transport, tmp_path: Path) -> None:
    service.script = [service.problem(404, "no_checkpoint_yet")]
    with pytest.raises(errors.NoCheckpointYet):
        files.download(transport, "/f", tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_an_upload_is_sent_in_chunks_and_repeated_after_an_outage(
    service: Any, transport: Transport, tmp_path: Path
) -> None:
    path = tmp_path / "letters.npz"
    path.write_bytes(CONTENT * 10)
    stored = (
        b'{"id": "ds_1", "name": "letters", "builtin": false, "arrays": [], "size": 1, "sha256": "s", "source": null,'
        b' "created_at": "2026-01-01T00:00:00Z"}'
    )
    service.script = [service.Answer(stops_at=-1), service.Answer(201, stored)]
    progress: list[tuple[int, int]] = []
    view = files.upload(transport, path, "my letters", lambda done, total: progress.append((done, total)))
    assert view.id == "ds_1"
    lost, request = service.requests
    assert request.path == "/api/v1/datasets?project=lab&name=my+letters"
    assert lost.body == request.body == CONTENT * 10
    assert request.headers["Content-Length"] == str(len(CONTENT) * 10)
    assert progress[-1] == (len(CONTENT) * 10, len(CONTENT) * 10)
    assert len(progress) > 4
