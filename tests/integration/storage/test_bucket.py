"""What a bucket has beyond a folder: a network that fails, a server that refuses, addresses that are signed."""

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

KEY = "checkpoints/job_1/1-abc.weights.h5"
SHORT = timedelta(seconds=0.5)

Open = Callable[..., BucketStorage]
Written = Callable[[bytes], Path]


def test_files_lie_under_the_prefix(open_bucket: Open, s3: S3Server, bucket: Bucket, written: Written) -> None:
    store = open_bucket(downloads=s3.url)
    store.put(KEY, written(b"x"))
    assert str(store.signed_url(KEY)).startswith(f"{s3.url}/{bucket.name}/some/where/{KEY}?")
    for prefix in ("", "some", "some/where/else"):
        other = BucketStorage(bucket._replace(prefix=prefix), Path("/nowhere"), SHORT)
        assert list(other.old_keys(timedelta(hours=-1))) == []


def test_a_short_outage_is_sat_out(open_bucket: Open, s3: S3Server, written: Written) -> None:
    store = open_bucket()
    store.put(KEY, written(b"first"))
    s3.stop()
    back = threading.Timer(1.0, s3.start)
    back.start()
    began = time.monotonic()
    store.put(KEY, written(b"second"))
    assert time.monotonic() - began > 0.9
    back.join()
    assert b"".join(store.open(KEY)) == b"second"


def test_a_long_one_is_an_error_of_the_store(open_bucket: Open, s3: S3Server, written: Written) -> None:
    store = open_bucket(SHORT)
    store.put(KEY, written(b"x"))
    s3.stop()
    source = written(b"y" * 20_000_000)
    acts: list[Callable[[], object]] = [
        lambda: store.put(KEY, source),
        lambda: store.open(KEY),
        lambda: store.size(KEY),
        lambda: store.delete(KEY),
        lambda: list(store.old_keys(timedelta())),
        store.check,
    ]
    for act in acts:
        with pytest.raises(StorageError, match=r"Error performing [A-Z]+ http") as told:
            act()
        assert "\n" not in str(told.value)
        assert told.value.__cause__ is None
    assert source.stat().st_size == 20_000_000
    s3.start()
    assert b"".join(store.open(KEY)) == b"x", "what was stored is whole, and nothing of the rest is seen"
    store.discard(KEY)


def test_a_needless_file_that_cannot_be_deleted_is_no_error(
    open_bucket: Open, s3: S3Server, written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_bucket(SHORT)
    store.put(KEY, written(b"x"))
    s3.stop()
    store.discard(KEY)
    assert "could not be deleted" in caplog.text


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_never_answers(
    s3: S3Server, bucket: Bucket, silent_port: int, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent_port}")
    monkeypatch.setattr("service.storage.bucket._ANSWER_WITHIN", timedelta(seconds=0.5))
    store = BucketStorage(bucket, tmp_path / "incoming", SHORT)
    with pytest.raises(OSError, match="error sending request"):
        store.put(KEY, written(b"x"))


def test_a_bucket_that_is_not_there(s3: S3Server, tmp_path: Path, written: Written) -> None:
    store = BucketStorage(Bucket("no-such-bucket", ""), tmp_path / "incoming", SHORT)
    with pytest.raises(StorageError, match=r"NoSuchBucket"):
        store.check()
    with pytest.raises(StorageError, match=r"NoSuchBucket"):
        store.put(KEY, written(b"x"))
    with pytest.raises(StorageError, match=r"NoSuchBucket"):
        store.open(KEY)
    with pytest.raises(StorageError, match=r"NoSuchBucket"):
        store.size(KEY)


def test_uploads_need_a_place_on_this_machine(open_bucket: Open, tmp_path: Path) -> None:
    store = open_bucket(SHORT)
    store.check()
    incoming = store.temporary_folder()
    incoming.rmdir()
    incoming.write_text("no folder can be made where a file is")
    with pytest.raises(FileExistsError):
        store.check()


def test_credentials_are_read_once_and_told_to_nobody(
    s3: S3Server, open_bucket: Open, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_bucket(SHORT)
    for name in s3.variables:
        monkeypatch.delenv(name)
    store.put(KEY, written(b"x"))
    s3.stop()
    with pytest.raises(OSError, match="Error performing") as told:
        store.size(KEY)
    assert "fitqueue-secret" not in f"{told.value!r} {store!r} {vars(store)!r}"


def test_a_signed_address_gives_the_file_to_whoever_has_it(open_bucket: Open, s3: S3Server, written: Written) -> None:
    store = open_bucket(downloads=s3.url)
    store.put(KEY, written(b"0123456789"))
    url = store.signed_url(KEY)
    assert url is not None
    assert httpx.get(url).content == b"0123456789"
    assert httpx.get(url, headers={"Range": "bytes=3-"}).content == b"3456789"
    assert re.search(r"X-Amz-Expires=600\b", url)
    assert "fitqueue-secret" not in url


def test_no_address_is_signed_of_what_is_not_there(open_bucket: Open, s3: S3Server) -> None:
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
def test_who_is_sent_where(
    downloads: str, endpoint: str | None, host: str | None, monkeypatch: pytest.MonkeyPatch, s3: S3Server
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    store = BucketStorage(Bucket("weights", "a"), Path("/nowhere"), SHORT, downloads)
    monkeypatch.setattr(store, "size", lambda key: 1)  # there is no such server to ask
    url = store.signed_url(KEY)
    assert (httpx.URL(url).host if url else None) == host
