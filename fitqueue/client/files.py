"""Files to and from the service: downloads that go on where they broke off and are checked, uploads in pieces."""

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
from fitqueue.views import DatasetView

OnProgress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""

PIECE = 1 << 18


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class _Part:
    """What has arrived of one content. Its sha256 is in the file's name, so pieces of two contents never mix."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, target: Path, address: str, tag: str) -> "_Part":
        etag = tag.removeprefix("W/").strip('"')
        if not re.fullmatch("[0-9a-f]{64}", etag):
            raise ChecksumMismatch(f"{address} announced no sha256: its ETag is {etag!r}; expected 64 hex digits")
        return cls(target.with_name(f".{target.name}.{etag[:16]}.part"), etag)

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def range_headers(self) -> dict[str, str]:
        return {"Range": f"bytes={self.size}-", "If-Range": f'"{self.sha256}"'}


def download(transport: Transport, address: str, target: Path, on_progress: OnProgress | None = None) -> None:
    """Writes the file at `address` to `target`: beside it, checked against its sha256, flushed, then renamed.

    Raises ChecksumMismatch, Unreachable, or what the service answered (NoCheckpointYet, CheckpointNotFound, …).
    """
    part = _fetch(transport, address, target, on_progress or (lambda _done, _total: None))
    if (received := sha256_of(part.path)) != part.sha256:
        part.path.unlink()
        raise ChecksumMismatch(f"{address} arrived with sha256 {received}; the service announced {part.sha256}")
    with part.path.open("rb+") as file:
        os.fsync(file.fileno())
    part.path.replace(target)


def _fetch(transport: Transport, address: str, target: Path, on_progress: OnProgress) -> _Part:
    part: _Part | None = None
    resumed: _Part | None = None
    retry_seconds, size_at_break = RetryBudget(LONG_RETRY_SECONDS), -1
    while True:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"} | (resumed.range_headers if resumed else {})
        try:
            with transport.download(Call("GET", address, headers=headers)) as (response, tag):
                part = _Part.of(target, address, tag)
                goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT and part == resumed
                total = int(response.headers["Content-Length"]) + (part.size if goes_on else 0)
                if part.size == total:
                    return part
                if not goes_on and resumed is None and 0 < part.size < total:
                    resumed = part  # an earlier call broke off in this very content
                    continue
                _write(part, response, on_progress, total, append=goes_on)
                return part
        except httpx.TransportError as error:
            size = part.size if part else 0
            trouble = f"The download of {address} broke off after {size} bytes ({error})"
            if size != size_at_break:
                retry_seconds, size_at_break = RetryBudget(LONG_RETRY_SECONDS), size
            if not retry_seconds.pause(trouble):
                raise Unreachable(f"{trouble}; the same call again goes on from there") from error
            resumed = part if size else None


def _write(part: _Part, response: httpx.Response, on_progress: OnProgress, total: int, *, append: bool) -> None:
    done = part.size if append else 0
    on_progress(done, total)
    with part.path.open("ab" if append else "wb") as file:
        for piece in response.iter_raw():
            file.write(piece)
            done += len(piece)
            on_progress(done, total)


def upload(transport: Transport, path: Path, name: str | None, on_progress: OnProgress | None = None) -> DatasetView:
    """Sends a file piece by piece. The service stores a content once, so sending it again does no harm."""
    total = path.stat().st_size

    def pieces() -> Iterator[bytes]:
        done = 0
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
                done += len(piece)
                if on_progress:
                    on_progress(done, total)

    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(total)}
    params = {"name": name} if name else {}
    call = Call("POST", "/datasets", params=params, headers=headers, body=pieces, timeout=300.0)
    return DatasetView.model_validate_json(transport.request(call).content)
