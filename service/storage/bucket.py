"""A storage in a bucket of S3, or of a server that speaks its protocol (MinIO, Ceph, R2, …)."""

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
from service.storage.identity import MARKER, IdentityCheck, ReadIdentity
from service.storage.interface import Storage, StorageError, StoredFile
from service.storage.keys import KINDS, is_key, validated
from service.storage_address import Bucket

if TYPE_CHECKING:  # the library has these names for type checkers only
    from obstore import GetResult, ObjectMeta
    from obstore.store import ClientConfig, RetryConfig

URL_LIFETIME: Final = timedelta(minutes=10)
"""A download that began within this time may take longer."""

_PART: Final = 8 * 1024**2
_MAX_PARTS: Final = 9_000
"""S3 takes 10,000."""
_CONCURRENT_PARTS: Final = 4
_CHUNK: Final = 1024**2
_ANSWER_TIMEOUT: Final = timedelta(seconds=60)
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class BucketStorage(Storage):
    """Writes a temporary file on this machine, and uploads it once it is complete: a large one in parts.

    A server that fails or does not answer is asked again, with growing pauses, until `retry_timeout` has passed. Parts
    that a dead process uploaded are not visible under the key; the bucket's lifecycle rule deletes them.
    """

    def __init__(
        self,
        bucket: Bucket,
        incoming: Path,
        retry_timeout: timedelta,
        downloads: str = "auto",
        read_identity: ReadIdentity = lambda: None,
    ) -> None:
        """Connect to the bucket.

        Args:
            incoming: the local folder for files on their way to the bucket.
            downloads: the setting of this name.
            read_identity: returns the identity that the bucket must have; None if it has none yet.
        """
        self._check = IdentityCheck(f"The bucket {bucket}", self.identity, read_identity)
        self._incoming = incoming.absolute()
        with _as_os_errors():
            self._files = _connect(bucket, retry_timeout)
            self._probed = _connect(bucket, timedelta(seconds=2), timedelta(seconds=3))
            self._signer = _signer(bucket, downloads)

    def verify(self) -> None:
        self._check.verify()

    def _verify_once(self) -> None:
        """Verify before the first use. A bucket does not turn into another one, and each look takes a request."""
        if not self._check.has_succeeded:
            self.verify()

    def identity(self) -> str | None:
        try:
            with _as_os_errors():
                return bytes(self._files.get(MARKER).bytes()).decode().strip() or None
        except FileNotFoundError:
            return None

    def mark(self, identity: str) -> None:
        with _as_os_errors():
            self._files.put(MARKER, f"{identity}\n".encode())

    def temporary_folder(self) -> Path:
        self._incoming.mkdir(parents=True, exist_ok=True)
        return self._incoming

    def put(self, key: str, source: Path) -> None:
        self._verify_once()
        part = max(_PART, source.stat().st_size // _MAX_PARTS)
        with _as_os_errors():
            self._files.put(validated(key), source, chunk_size=part, max_concurrency=_CONCURRENT_PARTS)
        source.unlink()

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._verify_once()
        if length == 0:  # S3 has no empty ranges
            self.size(key)
            return iter(())
        try:
            with _as_os_errors():
                if length is not None:
                    result = self._files.get(validated(key), options={"range": (start, start + length)})
                else:
                    result = self._files.get(validated(key), options={"range": {"offset": start}} if start else {})
        except FileNotFoundError:
            self.verify()
            raise
        return _chunks(result)

    def size(self, key: str) -> int:
        self._verify_once()
        try:
            with _as_os_errors():
                return self._files.head(validated(key))["size"]
        except FileNotFoundError:
            with _as_os_errors():  # an answer to HEAD has no body, and it may be the bucket that is missing
                self._files.get(validated(key), options={"range": (0, 1)})
            self.verify()
            raise

    def delete(self, key: str) -> None:
        self._verify_once()
        with _as_os_errors():
            self._files.delete(validated(key))

    def files(self, kind: str) -> Iterator[StoredFile]:
        return (StoredFile(file["path"], file["size"]) for file in self._list(kind))

    def old_keys(self, older_than: timedelta) -> Iterator[str]:
        before = datetime.now(UTC) - older_than
        for kind in KINDS:
            yield from (file["path"] for file in self._list(kind) if file["last_modified"] < before)

    def _list(self, kind: str) -> "Iterator[ObjectMeta]":
        self._verify_once()
        with _as_os_errors():
            for batch in self._files.list(kind):
                yield from (file for file in batch if is_key(file["path"]))

    def delete_old_incoming(self, older_than: timedelta) -> list[str]:
        return delete_old_files(self.temporary_folder(), older_than)

    def delete_old_empty_folders(self, older_than: timedelta) -> None:
        """Do nothing: a bucket has no folders."""

    def local_path(self, key: str) -> Path | None:
        validated(key)
        return None

    def signed_url(self, key: str) -> str | None:
        if self._signer is None:
            return None
        self.size(key)  # signing does not look at the file, and a client that is sent there could not come back
        with _as_os_errors():
            return obstore.sign(self._signer, "GET", validated(key), URL_LIFETIME)

    def probe(self) -> None:
        tempfile.TemporaryFile(dir=self.temporary_folder()).close()  # an upload is written there first
        with _as_os_errors():
            self._probed.put("probe", b"ok")
        self.verify()


def _connect(
    bucket: Bucket, retry_timeout: timedelta, answer_timeout: timedelta | None = None, endpoint: str | None = None
) -> S3Store:
    answer_timeout = answer_timeout or _ANSWER_TIMEOUT
    client: ClientConfig = {
        "allow_http": True,  # an operator who sets an endpoint with http:// means it
        "connect_timeout": min(answer_timeout, timedelta(seconds=5)),
        "read_timeout": answer_timeout,
        "timeout": timedelta(days=1),  # for a whole answer, however large, and however slow its reader
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
    """Return what signs addresses; None if clients may not be able to reach the bucket."""
    if downloads == "stream" or (downloads == "auto" and any(os.environ.get(name) for name in _ENDPOINTS)):
        return None
    return _connect(bucket, timedelta(seconds=20), endpoint=None if downloads == "auto" else downloads)


def _chunks(result: "GetResult") -> Iterator[bytes]:
    with _as_os_errors():
        for chunk in result.stream(_CHUNK):
            yield bytes(chunk)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raise the library's errors as those of a disk, in one line: the rest of their text is for its authors."""
    try:
        yield
    except FileNotFoundError as error:
        kind = StorageError if "<Code>NoSuchBucket</Code>" in str(error) else FileNotFoundError
        raise kind(_first_line(error)) from None
    except BaseError as error:
        raise StorageError(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    text = str(error)
    code = re.search(r"<Code>(\w{1,100})</Code>", text)
    line = text.partition("\n")[0].partition("<?xml")[0].strip().rstrip(":")[:300]
    return f"{line} ({code[1]})" if code else line
