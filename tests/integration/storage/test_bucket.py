"""What a bucket has beyond a folder: networks and servers that fail, and signed addresses."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from service.storage import StorageError
from service.storage.bucket import BucketStorage
from service.storage_address import Bucket
from tests.s3 import S3Server
from tests.waiting import ANSWER_SECONDS

KEY = "checkpoints/job_1/1-abc.weights.h5"
SHORT_TIMEOUT = timedelta(seconds=0.5)

OpenBucket = Callable[..., BucketStorage]
WriteFile = Callable[[bytes], Path]


def test_all_files_are_stored_under_the_prefix(
    open_bucket: OpenBucket, s3: S3Server, bucket: Bucket, write_file: WriteFile
) -> None:
    storage = open_bucket(downloads=s3.url)
    storage.put(KEY, write_file(b"x"))
    assert str(storage.signed_url(KEY)).startswith(f"{s3.url}/{bucket.name}/some/where/{KEY}?")
    for prefix in ("", "some", "some/where/else"):
        other = BucketStorage(bucket._replace(prefix=prefix), Path("/nowhere"), SHORT_TIMEOUT)
        assert list(other.old_keys(timedelta(hours=-1))) == []


# --- Outages ----------------------------------------------------------------------------------------------------------


def test_operations_are_retried_during_a_short_outage(
    open_bucket: OpenBucket, s3: S3Server, write_file: WriteFile
) -> None:
    storage = open_bucket()
    storage.put(KEY, write_file(b"first"))
    s3.stop()
    restart = threading.Timer(1.0, s3.start)
    restart.start()
    started_at = time.monotonic()
    storage.put(KEY, write_file(b"second"))
    assert time.monotonic() - started_at > 0.9
    restart.join()
    assert b"".join(storage.open(KEY)) == b"second"


def test_a_long_outage_raises_storage_error(open_bucket: OpenBucket, s3: S3Server, write_file: WriteFile) -> None:
    storage = open_bucket(SHORT_TIMEOUT)
    storage.put(KEY, write_file(b"x"))
    s3.stop()
    source = write_file(b"y" * 20_000_000)
    operations: list[Callable[[], object]] = [
        lambda: storage.put(KEY, source),
        lambda: storage.open(KEY),
        lambda: storage.size(KEY),
        lambda: storage.delete(KEY),
        lambda: list(storage.old_keys(timedelta())),
        storage.probe,
    ]
    for operation in operations:
        with pytest.raises(StorageError, match=r"Error performing [A-Z]+ http") as error:
            operation()
        assert "\n" not in str(error.value)
        assert error.value.__cause__ is None
    assert source.stat().st_size == 20_000_000
    s3.start()
    assert b"".join(storage.open(KEY)) == b"x", "the earlier file is intact, and no part of the other one is visible"
    storage.discard(KEY)


def test_an_unreferenced_file_that_cannot_be_deleted_is_only_logged(
    open_bucket: OpenBucket, s3: S3Server, write_file: WriteFile, caplog: pytest.LogCaptureFixture
) -> None:
    storage = open_bucket(SHORT_TIMEOUT)
    storage.put(KEY, write_file(b"x"))
    s3.stop()
    storage.discard(KEY)
    assert "An unreferenced file could not be deleted." in caplog.text


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_never_answers_is_given_up(
    s3: S3Server,
    bucket: Bucket,
    silent_port: int,
    write_file: WriteFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent_port}")
    monkeypatch.setattr("service.storage.bucket._ANSWER_TIMEOUT", timedelta(seconds=0.5))
    storage = BucketStorage(bucket, tmp_path / "incoming", SHORT_TIMEOUT)
    with pytest.raises(OSError, match="error sending request"):
        storage.put(KEY, write_file(b"x"))


def test_a_missing_bucket_raises_storage_error(s3: S3Server, tmp_path: Path, write_file: WriteFile) -> None:
    storage = BucketStorage(Bucket("no-such-bucket", ""), tmp_path / "incoming", SHORT_TIMEOUT)
    with pytest.raises(StorageError, match=r"NoSuchBucket"):
        storage.probe()
    with pytest.raises(StorageError, match=r"NoSuchBucket"):
        storage.put(KEY, write_file(b"x"))
    with pytest.raises(StorageError, match=r"NoSuchBucket"):
        storage.open(KEY)
    with pytest.raises(StorageError, match=r"NoSuchBucket"):
        storage.size(KEY)


def test_the_probe_includes_the_temporary_folder_for_uploads(open_bucket: OpenBucket, tmp_path: Path) -> None:
    storage = open_bucket(SHORT_TIMEOUT)
    storage.probe()
    incoming = storage.temporary_folder()
    incoming.rmdir()
    incoming.write_text("A file is where the folder would have to be created.")
    with pytest.raises(FileExistsError):
        storage.probe()


def test_credentials_are_read_once_and_never_shown(
    s3: S3Server, open_bucket: OpenBucket, write_file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_bucket(SHORT_TIMEOUT)
    for name in s3.variables:
        monkeypatch.delenv(name)
    storage.put(KEY, write_file(b"x"))
    s3.stop()
    with pytest.raises(OSError, match="Error performing") as error:
        storage.size(KEY)
    assert "fitqueue-secret" not in f"{error.value!r} {storage!r} {vars(storage)!r}"


# --- Signed addresses -------------------------------------------------------------------------------------------------


def test_a_signed_address_serves_the_file_to_anybody(
    open_bucket: OpenBucket, s3: S3Server, write_file: WriteFile
) -> None:
    storage = open_bucket(downloads=s3.url)
    storage.put(KEY, write_file(b"0123456789"))
    url = storage.signed_url(KEY)
    assert url is not None
    assert httpx.get(url, timeout=ANSWER_SECONDS).content == b"0123456789"
    assert httpx.get(url, headers={"Range": "bytes=3-"}, timeout=ANSWER_SECONDS).content == b"3456789"
    assert re.search(r"X-Amz-Expires=600\b", url)
    assert "fitqueue-secret" not in url


def test_a_missing_file_has_no_signed_address(open_bucket: OpenBucket, s3: S3Server) -> None:
    with pytest.raises(FileNotFoundError):
        open_bucket(downloads=s3.url).signed_url(KEY)


@pytest.mark.parametrize(
    ("downloads", "endpoint", "host"),
    [
        ("auto", None, "s3.eu-central-1.amazonaws.com"),
        ("auto", "http://minio:9000", None),
        ("stream", None, None),
        ("stream", "http://minio:9000", None),
        ("https://files.example.org", "http://minio:9000", "files.example.org"),
        ("https://files.example.org", None, "files.example.org"),
    ],
)
def test_the_setting_for_downloads_decides_where_clients_are_sent(
    downloads: str, endpoint: str | None, host: str | None, monkeypatch: pytest.MonkeyPatch, s3: S3Server
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    storage = BucketStorage(Bucket("weights", "a"), Path("/nowhere"), SHORT_TIMEOUT, downloads)
    monkeypatch.setattr(storage, "size", lambda key: 1)  # no such server exists
    url = storage.signed_url(KEY)
    assert (httpx.URL(url).host if url else None) == host
