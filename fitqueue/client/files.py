"""Files from and to the service: downloads that can be resumed and are verified, and uploads in chunks."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from fitqueue.client.retry import RetryBudget
from fitqueue.client.transport import LONG_RETRY_SECONDS, Call, Transport
from fitqueue.errors import ChecksumMismatch, Unreachable
from fitqueue.roles import DEFAULT_PROJECT
from fitqueue.text import truncate
from fitqueue.views import DatasetView

OnProgress = Callable[[int, int], None]
"""Called with the bytes that have been transferred and the bytes in all."""

CHUNK_BYTES = 1 << 18
UPLOAD_SECONDS = 300.0
MAX_NAME_BYTES = 255
"""The longest name that most file systems allow, in UTF-8."""


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fitting_name(name: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return the name of a file, with an ellipsis in it if file systems do not allow so long a name.

    A letter of Latin takes one byte, and one of Chinese three.
    """
    lengths = range(len(name), 0, -1)
    shortened = (truncate(name, length, tail=min(40, length - 1)) for length in lengths)
    return next(candidate for candidate in shortened if len(candidate.encode()) <= max_bytes)


@dataclass(frozen=True)
class _PartialFile:
    """What has arrived of a file. Its name contains the sha256 of the whole, so that two contents are never mixed."""

    path: Path
    sha256: str

    @classmethod
    def for_download(cls, target: Path, source: str, etag: str) -> "_PartialFile":
        sha256 = etag.removeprefix("W/").strip('"')
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ChecksumMismatch(
                f"{source} did not announce a sha256: its ETag is {sha256!r}; expected 64 hexadecimal digits"
            )
        suffix = f".{sha256[:16]}.part"
        return cls(target.with_name(f".{fitting_name(target.name, MAX_NAME_BYTES - 1 - len(suffix))}{suffix}"), sha256)

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def range_headers(self) -> dict[str, str]:
        return {"Range": f"bytes={self.size}-", "If-Range": f'"{self.sha256}"'}


def download(transport: Transport, source: str, target: Path, on_progress: OnProgress | None = None) -> None:
    """Download a file. It appears at `target` only when it is complete, verified against its sha256 and flushed.

    Raises:
        ChecksumMismatch: the service announced no sha256, or the file has another one.
        Unreachable: the download could not be resumed for five minutes.
        FitQueueError: the error that the service answered: NoCheckpointYet, CheckpointNotFound, …
    """
    partial = _fetch(transport, source, target, on_progress or (lambda _done, _total: None))
    if (received := sha256_of(partial.path)) != partial.sha256:
        partial.path.unlink()
        raise ChecksumMismatch(f"{source} arrived with sha256 {received}; the service announced {partial.sha256}")
    with partial.path.open("rb+") as file:
        os.fsync(file.fileno())
    partial.path.replace(target)


def _fetch(transport: Transport, source: str, target: Path, on_progress: OnProgress) -> _PartialFile:
    partial: _PartialFile | None = None
    resumed: _PartialFile | None = None
    budget, size_at_break = RetryBudget(LONG_RETRY_SECONDS), -1
    while True:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"} | (resumed.range_headers if resumed else {})
        try:
            with transport.download(Call("GET", source, headers=headers)) as (response, etag):
                partial = _PartialFile.for_download(target, source, etag)
                continues = response.status_code == httpx.codes.PARTIAL_CONTENT and partial == resumed
                total = int(response.headers["Content-Length"]) + (partial.size if continues else 0)
                if partial.size == total:
                    return partial
                if not continues and resumed is None and 0 < partial.size < total:
                    resumed = partial  # an earlier call left the beginning of this very content
                    continue
                _write(partial, response, on_progress, total, append=continues)
                return partial
        except httpx.TransportError as error:
            size = partial.size if partial else 0
            problem = f"The download of {source} broke off after {size} bytes ({error})"
            if size != size_at_break:
                budget, size_at_break = RetryBudget(LONG_RETRY_SECONDS), size
            if not budget.pause(problem):
                raise Unreachable(f"{problem}; the same call resumes it") from error
            resumed = partial if size else None


def _write(
    partial: _PartialFile, response: httpx.Response, on_progress: OnProgress, total: int, *, append: bool
) -> None:
    done = partial.size if append else 0
    on_progress(done, total)
    with partial.path.open("ab" if append else "wb") as file:
        for chunk in response.iter_raw():
            file.write(chunk)
            done += len(chunk)
            on_progress(done, total)


def upload(
    transport: Transport,
    path: Path,
    name: str | None,
    on_progress: OnProgress | None = None,
    *,
    project: str = DEFAULT_PROJECT,
) -> DatasetView:
    """Upload a data set in chunks. A project has the same content and name once: repeating it does no harm.

    Raises:
        FitQueueError: the error that the service answered: InvalidDataset, NameTaken, …
    """
    total = path.stat().st_size

    def chunks() -> Iterator[bytes]:
        done = 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                done += len(chunk)
                if on_progress:
                    on_progress(done, total)

    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(total)}
    params = {"project": project, **({"name": name} if name else {})}
    call = Call("POST", "/datasets", params=params, headers=headers, body=chunks, timeout=UPLOAD_SECONDS)
    return DatasetView.model_validate_json(transport.request(call).content)
