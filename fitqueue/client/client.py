"""One FitQueue service, as a class: thin methods over the routes of the API."""

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload
from urllib.parse import quote

from pydantic import BaseModel

from fitqueue.client import files, follow
from fitqueue.client.configuration import find_connection
from fitqueue.client.transport import Call, Transport
from fitqueue.errors import MalformedJSON
from fitqueue.views import (
    ArtifactView,
    CheckpointView,
    DatasetView,
    DryRun,
    EpochView,
    EventView,
    JobSummary,
    JobView,
    LogLine,
    Page,
    WorkerView,
)

Spec = Mapping[str, Any] | bytes | str | os.PathLike[str]
"""A job: as a dict, as the JSON itself (bytes), or as the path of a JSON file."""

Row = TypeVar("Row", bound=BaseModel)


class Client:
    """The service at `url`, spoken to with `token`; without them the ones that `find_connection` finds.

    Use it as a context manager, or call `close()`; it may be shared by threads. Every method raises the classes of
    `fitqueue.errors`: what the service refused (InvalidSpec, JobNotFound, …), or Unreachable after a few seconds
    without an answer. Calls that may be repeated are: a submit carries a key by which the service knows it again.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self._transport = Transport(find_connection(url, token))

    @property
    def url(self) -> str:
        return self._transport.url

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- Jobs ---------------------------------------------------------------------------------------------------

    @overload
    def submit(
        self, spec: Spec, *, dry_run: Literal[False] = ..., wait: bool = ..., idempotency_key: str | None = ...
    ) -> JobView: ...
    @overload
    def submit(self, spec: Spec, *, dry_run: Literal[True]) -> DryRun: ...
    def submit(
        self, spec: Spec, *, dry_run: bool = False, wait: bool = False, idempotency_key: str | None = None
    ) -> JobView | DryRun:
        """Queues a job; with `wait`, returns it when it has ended. A dry run checks it and stores nothing.

        Whoever may have to submit it once more, after an Unreachable or in another process, gives a key of their own:
        the same key and job again give the job that was queued the first time.

        Raises MalformedJSON or InvalidSpec, whose `errors` name every fault.
        """
        body = _body_of(spec)
        headers = {"Content-Type": "application/json"}
        if dry_run:
            answer = self._call("POST", "/jobs", params={"dry_run": "true"}, headers=headers, body=lambda: body)
            return DryRun.model_validate_json(answer)
        headers["Idempotency-Key"] = idempotency_key or uuid.uuid4().hex
        job = JobView.model_validate_json(self._call("POST", "/jobs", headers=headers, body=lambda: body))
        return self.wait(job.id) if wait else job

    def get(self, job_id: str) -> JobView:
        return JobView.model_validate_json(self._call("GET", _job(job_id)))

    def list(
        self,
        *,
        state: str | Iterable[str] | None = None,
        labels: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        pool: str | None = None,
        name: str | None = None,
    ) -> Iterator[JobSummary]:
        """The jobs that all filters let through, newest first, fetched page by page as they are asked for.

        `labels` as a mapping, or as pairs where a key may stand twice: a job has all of them, or is not among these.
        """
        pairs = labels.items() if isinstance(labels, Mapping) else labels or ()
        states = [state] if isinstance(state, str) else list(state or [])
        filters: dict[str, str | list[str] | None] = {
            "state": states,
            "label": [f"{key}={value}" for key, value in pairs],
            "pool": pool,
            "name": name,
        }
        return self._pages("/jobs", JobSummary, {key: value for key, value in filters.items() if value})

    def cancel(self, job_id: str) -> JobView:
        """Asks the job to stop; what it trained stays fetchable. Once more changes nothing.

        Raises JobEnded when it has ended in another way.
        """
        return JobView.model_validate_json(self._call("POST", f"{_job(job_id)}/cancel"))

    def pause(self, job_id: str) -> JobView:
        """Asks the job to wait and to hold no device meanwhile. Once more changes nothing.

        Raises JobEnded.
        """
        return JobView.model_validate_json(self._call("POST", f"{_job(job_id)}/pause"))

    def resume(self, job_id: str) -> JobView:
        """Lets a paused job go on, exactly where it was paused. Once more changes nothing. Raises JobEnded."""
        return JobView.model_validate_json(self._call("POST", f"{_job(job_id)}/resume"))

    def extend(self, job_id: str, epochs: int) -> JobView:
        """Gives an ended job so many epochs more; it goes on from where it stopped.

        Once more, before the job has ended again, changes nothing. Raises JobNotEnded, JobNotExtendable.
        """
        headers = {"Content-Type": "application/json"}
        body = json.dumps({"epochs": epochs}).encode()
        answer = self._call("POST", f"{_job(job_id)}/extend", headers=headers, body=lambda: body)
        return JobView.model_validate_json(answer)

    def delete(self, job_id: str) -> None:
        """Removes an ended job and its files. Raises JobNotEnded when it has not ended."""
        self._call("DELETE", _job(job_id), repeatable=False)

    def watch(self, job_id: str, *, timeout: float | None = None) -> Iterator[JobView]:
        """The job now, again whenever it changed, and at last in its final state; outages of minutes are sat out.

        Raises WaitTimeout when it has not ended after `timeout` seconds.
        """
        return follow.watch(self._transport, _job(job_id), timeout)

    def wait(
        self, job_id: str, *, timeout: float | None = None, on_update: Callable[[JobView], None] | None = None
    ) -> JobView:
        """The job in its final state, whichever that is. Raises WaitTimeout after `timeout` seconds."""
        for job in self.watch(job_id, timeout=timeout):
            if on_update:
                on_update(job)
        return job

    # --- What a job gives ---------------------------------------------------------------------------------------

    def metrics(self, job_id: str, *, after: int = 0) -> Sequence[EpochView]:
        """One row for each epoch that has ended, of those after the epoch `after`."""
        return tuple(self._pages(f"{_job(job_id)}/metrics", EpochView, {"after": after}))

    def metrics_csv(self, job_id: str) -> str:
        return self._call("GET", f"{_job(job_id)}/metrics", headers={"Accept": "text/csv"}).decode()

    def events(self, job_id: str, *, follow: bool = False, after: int = 0) -> Iterator[EventView]:
        """What happened to the job, after the event of id `after`; with `follow` until it has ended."""
        return self._records(f"{_job(job_id)}/events", EventView, follow, {"after": after})

    def logs(self, job_id: str, *, follow: bool = False, after: int = 0, tail: int | None = None) -> Iterator[LogLine]:
        """What the training printed, after the line of id `after`; with `follow` until the job has ended.

        `tail` begins that many lines before the present end.
        """
        if tail is None:
            return self._records(f"{_job(job_id)}/logs", LogLine, follow, {"after": after})
        return self._log_tail(job_id, follow, tail)

    def checkpoints(self, job_id: str) -> Sequence[CheckpointView]:
        return tuple(self._pages(f"{_job(job_id)}/checkpoints", CheckpointView))

    def download(
        self,
        job_id: str,
        checkpoint: str = "best",
        path: str | os.PathLike[str] | None = None,
        *,
        on_progress: files.OnProgress | None = None,
    ) -> Path:
        """Fetches `best`, `last` or a checkpoint by its name, also while the job trains; where it lies now.

        `path` is the file to write, or a folder for it; without it, this folder. A broken download goes on where it
        broke off. Nothing appears under the final name before its sha256 has been checked.

        Raises NoCheckpointYet, CheckpointNotFound, ChecksumMismatch.
        """
        target = Path(path) if path is not None else Path()
        if target.is_dir():
            target /= _file_name(job_id, checkpoint)
        files.download(self._transport, _job(job_id) + _checkpoint(checkpoint), target, on_progress)
        return target

    def artifacts(self, job_id: str) -> Sequence[ArtifactView]:
        """What callbacks of the job wrote beside its weights."""
        return tuple(self._pages(f"{_job(job_id)}/artifacts", ArtifactView))

    def download_artifact(
        self,
        job_id: str,
        name: str,
        path: str | os.PathLike[str] | None = None,
        *,
        on_progress: files.OnProgress | None = None,
    ) -> Path:
        """As `download`, for what a callback wrote. Raises ArtifactNotFound, ChecksumMismatch."""
        target = Path(path) if path is not None else Path()
        if target.is_dir():
            target /= _safe(name)
        files.download(self._transport, f"{_job(job_id)}/artifacts/{quote(name, safe='')}", target, on_progress)
        return target

    # --- Data sets and workers ----------------------------------------------------------------------------------

    def upload(
        self, path: str | os.PathLike[str], name: str | None = None, *, on_progress: files.OnProgress | None = None
    ) -> DatasetView:
        """Stores an `.npz` of plain numeric arrays; a content that is there already under this name is not sent.

        Raises InvalidDataset, NameTaken, BodyTooLarge.
        """
        sha256 = files.sha256_of(Path(path))
        for stored in self.datasets():
            if stored.sha256 == sha256 and name in {None, stored.name}:
                return stored
        return files.upload(self._transport, Path(path), name, on_progress)

    def datasets(self) -> Iterator[DatasetView]:
        return self._pages("/datasets", DatasetView)

    def dataset(self, name_or_id: str) -> DatasetView:
        return DatasetView.model_validate_json(self._call("GET", f"/datasets/{quote(name_or_id, safe='')}"))

    def delete_dataset(self, name_or_id: str) -> None:
        """Removes an uploaded data set. Raises DatasetInUse when a job that has not ended needs it."""
        self._call("DELETE", f"/datasets/{quote(name_or_id, safe='')}", repeatable=False)

    def workers(self) -> Sequence[WorkerView]:
        return tuple(self._pages("/workers", WorkerView))

    # --- How ----------------------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, **how: Any) -> bytes:
        return self._transport.request(Call(method, path, **how)).content

    def _pages(
        self, path: str, row: type[Row], params: Mapping[str, str | int | Sequence[str] | None] | None = None
    ) -> Iterator[Row]:
        cursor: dict[str, str] = {}
        while True:
            answer = self._call("GET", path, params={**(params or {}), **cursor})
            page = Page[row].model_validate_json(answer)  # type: ignore[valid-type]  # a type made at run time
            yield from page.data
            if page.next_cursor is None:
                return
            cursor = {"cursor": page.next_cursor}

    def _records(self, path: str, row: type[Row], following: bool, params: dict[str, int]) -> Iterator[Row]:
        if not following:
            return self._pages(path, row, params)
        data = follow.follow(self._transport, path, params["after"])
        return (row.model_validate_json(each) for each in data)

    def _log_tail(self, job_id: str, following: bool, tail: int) -> Iterator[LogLine]:
        last = 0
        for line in self._pages(f"{_job(job_id)}/logs", LogLine, {"tail": tail}):
            last = line.id
            yield line
        if following:
            yield from self.logs(job_id, follow=True, after=last)


def _job(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def _checkpoint(name: str) -> str:
    return f"/weights/{name}" if name in {"best", "last"} else f"/checkpoints/{quote(name, safe='')}"


def _file_name(job_id: str, checkpoint: str) -> str:
    # A name comes from the service: it may name a file in the folder, never a way out of it.
    return _safe(f"{job_id}-{checkpoint}.weights.h5" if checkpoint in {"best", "last"} else checkpoint)


def _safe(name: str) -> str:
    return name.replace("/", "_").replace("\\", "_")


def _body_of(spec: Spec) -> bytes:
    if isinstance(spec, bytes):
        return spec
    if isinstance(spec, Mapping):
        try:
            return json.dumps(dict(spec), allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise MalformedJSON(f"The job is not plain JSON data: {error}") from error
    return Path(spec).read_bytes()
