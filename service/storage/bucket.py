"""A store in a bucket of S3, or of a server that speaks its protocol (MinIO, Ceph, R2, …)."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from service.storage.folder import delete_old_files
from service.storage.interface import Storage, StorageError
from service.storage.keys import KINDS, checked, is_key
from service.storage_address import Bucket

if TYPE_CHECKING:  # where alone the library has them
    from obstore import GetResult
    from obstore.store import ClientConfig, RetryConfig

URL_LIFETIME: Final = timedelta(minutes=10)
"""A download that began within it goes on after it."""

_PART: Final = 8 * 1024**2
_MOST_PARTS: Final = 9_000
"""S3 takes 10,000."""
_PARTS_AT_ONCE: Final = 4
_CHUNK: Final = 1024**2
_ANSWER_WITHIN: Final = timedelta(seconds=60)
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class BucketStorage(Storage):
    """Files are written aside on this machine, and uploaded when they are whole: a large one in parts.

    A server that fails or does not answer is asked again, with growing pauses, until `retry_timeout` is over. What a process
    that died has uploaded of a file is not seen under its key, and is for the bucket's lifecycle rule to delete.
    """

    def __init__(self, bucket: Bucket, incoming: Path, retry_timeout: timedelta, downloads: str = "auto") -> None:
        """`downloads`: see the setting of this name."""
        self._bucket = bucket
        self._incoming = incoming.absolute()
        with _as_os_errors():
            self._files = _opened(bucket, retry_timeout)
            self._probed = _opened(bucket, timedelta(seconds=2), timedelta(seconds=3))
            self._signer = _signer(bucket, downloads)

    def temporary_folder(self) -> Path:
        self._incoming.mkdir(parents=True, exist_ok=True)
        return self._incoming

    def put(self, key: str, source: Path) -> None:
        part = max(_PART, source.stat().st_size // _MOST_PARTS)
        with _as_os_errors():
            self._files.put(checked(key), source, chunk_size=part, max_concurrency=_PARTS_AT_ONCE)
        source.unlink()

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        if length == 0:  # S3 has no empty ranges
            self.size(key)
            return iter(())
        with _as_os_errors():
            if length is not None:
                found = self._files.get(checked(key), options={"range": (start, start + length)})
            else:
                found = self._files.get(checked(key), options={"range": {"offset": start}} if start else {})
        return _chunks(found)

    def size(self, key: str) -> int:
        try:
            with _as_os_errors():
                return self._files.head(checked(key))["size"]
        except FileNotFoundError:
            with _as_os_errors():  # the answer to HEAD has no words: it may be the bucket that is not there
                self._files.get(checked(key), options={"range": (0, 1)})
            raise

    def delete(self, key: str) -> None:
        with _as_os_errors():
            self._files.delete(checked(key))

    def old_keys(self, older_than: timedelta) -> Iterator[str]:
        before = datetime.now(UTC) - older_than
        for kind in KINDS:
            with _as_os_errors():
                for batch in self._files.list(kind):
                    yield from (
                        file["path"] for file in batch if is_key(file["path"]) and file["last_modified"] < before
                    )

    def delete_old_incoming(self, older_than: timedelta) -> list[str]:
        return delete_old_files(self.temporary_folder(), older_than)

    def delete_old_empty_folders(self, older_than: timedelta) -> None:
        """A bucket has none."""

    def local_path(self, key: str) -> Path | None:
        checked(key)
        return None

    def signed_url(self, key: str) -> str | None:
        if self._signer is None:
            return None
        self.size(key)  # to sign looks at nothing, and whoever is sent there could not ask for a better file
        with _as_os_errors():
            return obstore.sign(self._signer, "GET", checked(key), URL_LIFETIME)

    def check(self) -> None:
        tempfile.TemporaryFile(dir=self.temporary_folder()).close()  # an upload lies there before it is sent
        with _as_os_errors():
            self._probed.put("probe", b"ok")


def _opened(
    bucket: Bucket, retry_timeout: timedelta, answer_within: timedelta | None = None, endpoint: str | None = None
) -> S3Store:
    answer_within = answer_within or _ANSWER_WITHIN
    client: ClientConfig = {
        "allow_http": True,  # an endpoint that begins with http:// is the operator's word for it
        "connect_timeout": min(answer_within, timedelta(seconds=5)),
        "read_timeout": answer_within,
        "timeout": timedelta(days=1),  # of a whole answer, however large and however slow its reader
    }
    retries: RetryConfig = {
        "max_retries": 1_000,
        "retry_timeout": retry_timeout,
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=10), "base": 2},
    }
    prefix = bucket.prefix or None
    if endpoint is None:
        return S3Store(bucket.name, prefix=prefix, client_options=client, retry_config=retries)
    return S3Store(
        bucket.name, prefix=prefix, client_options=client, retry_config=retries, aws_endpoint_url_s3=endpoint
    )


def _signer(bucket: Bucket, downloads: str) -> S3Store | None:
    """What signs addresses; None where there is nobody whom clients are sure to reach."""
    if downloads == "stream" or (downloads == "auto" and any(os.environ.get(name) for name in _ENDPOINTS)):
        return None
    return _opened(bucket, timedelta(seconds=20), endpoint=None if downloads == "auto" else downloads)


def _chunks(found: "GetResult") -> Iterator[bytes]:
    with _as_os_errors():
        for chunk in found.stream(_CHUNK):
            yield bytes(chunk)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """The library's errors as those of a disk, in a line: what it says besides is long, and for its authors."""
    try:
        yield
    except FileNotFoundError as error:
        kind = StorageError if "<Code>NoSuchBucket</Code>" in str(error) else FileNotFoundError
        raise kind(_in_words(error)) from None
    except BaseError as error:
        raise StorageError(_in_words(error)) from None


def _in_words(error: Exception) -> str:
    told = str(error)
    code = re.search(r"<Code>(\w{1,100})</Code>", told)
    first = told.partition("\n")[0].partition("<?xml")[0].strip().rstrip(":")[:300]
    return f"{first} ({code[1]})" if code else first
