"""What a job yields: metrics, events, logs, checkpoints and artifacts."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, overload
from urllib.parse import quote

from fitqueue.client import files, follow
from fitqueue.client.base import ClientBase, Row, job_path
from fitqueue.client.metric_rows import Metrics
from fitqueue.client.transport import SHORT_RETRY_SECONDS
from fitqueue.text import local_file_name
from fitqueue.views import ArtifactView, CheckpointView, EpochView, EventView, LogLine, StepView
from fitqueue.weights import LAST_WITH_OPTIMIZER

_ALIASES = frozenset({"best", "last", LAST_WITH_OPTIMIZER})
"""Checkpoints that the service names, each at an address of its own."""


class ResultMethods(ClientBase):
    """The methods of `Client` about what a job yields."""

    @overload
    def metrics(self, job_id: str, *, after: int = 0, within: None = None) -> Metrics[EpochView]: ...

    @overload
    def metrics(self, job_id: str, *, after: int = 0, within: Literal["epoch"]) -> Metrics[StepView]: ...

    def metrics(
        self, job_id: str, *, after: int = 0, within: Literal["epoch"] | None = None
    ) -> Metrics[EpochView] | Metrics[StepView]:
        """Return one row for each epoch that has ended, or for each point within the epochs.

        `pandas.DataFrame` makes a column of each metric. NaN and infinity are numbers there, as in `row["loss"]`, and
        None in `row.metrics`.

        Args:
            job_id: the job.
            after: leave out the epochs up to this one.
            within: "epoch" for the points within the epochs, of which only long epochs have any.

        Raises:
            JobNotFound: there is no job with this id.
        """
        if within is None:
            return self._epochs(job_id, after)
        return Metrics(self._pages(f"{job_path(job_id)}/metrics", StepView, {"after": after, "within": within}))

    def _epochs(self, job_id: str, after: int = 0, *, retry_seconds: float = SHORT_RETRY_SECONDS) -> Metrics[EpochView]:
        return Metrics(self._pages(f"{job_path(job_id)}/metrics", EpochView, {"after": after}, retry_seconds))

    def metrics_csv(self, job_id: str, *, within: Literal["epoch"] | None = None) -> str:
        """Return the metrics of all epochs as CSV, with a header; with `within`, those of all points within them.

        Raises:
            JobNotFound: there is no job with this id.
        """
        params = {} if within is None else {"within": within}
        path = f"{job_path(job_id)}/metrics"
        return self._call("GET", path, params=params, headers={"Accept": "text/csv"}).decode()

    def events(self, job_id: str, *, follow: bool = False, after: int = 0) -> Iterator[EventView]:
        """Yield what has happened to a job, in order.

        Args:
            job_id: the job.
            follow: continue with new events until the job has ended.
            after: leave out the events up to the one with this id.

        Raises:
            JobNotFound: there is no job with this id.
        """
        return self._records(f"{job_path(job_id)}/events", EventView, follow, after)

    def logs(self, job_id: str, *, follow: bool = False, after: int = 0, tail: int | None = None) -> Iterator[LogLine]:
        """Yield the lines that the training has printed, in order.

        Args:
            job_id: the job.
            follow: continue with new lines until the job has ended.
            after: leave out the lines up to the one with this id.
            tail: begin with the last lines, this many of them.

        Raises:
            JobNotFound: there is no job with this id.
        """
        if tail is None:
            return self._records(f"{job_path(job_id)}/logs", LogLine, follow, after)
        return self._log_tail(job_id, follow, tail)

    def checkpoints(self, job_id: str) -> Sequence[CheckpointView]:
        """Return the checkpoints that a job has saved so far.

        Raises:
            JobNotFound: there is no job with this id.
        """
        return tuple(self._pages(f"{job_path(job_id)}/checkpoints", CheckpointView))

    def download(
        self,
        job_id: str,
        checkpoint: str = "best",
        path: str | os.PathLike[str] | None = None,
        *,
        on_progress: files.OnProgress | None = None,
    ) -> Path:
        """Download a checkpoint, at any time, even while the job is training.

        An interrupted download is resumed, and nothing appears under the final name before its sha256 was verified.

        Args:
            job_id: the job.
            checkpoint: `best`, `last`, `last_with_optimizer`, or the name of a checkpoint.
            path: the file to write, or a folder for it; by default the current folder.
            on_progress: called with the bytes that have arrived and the bytes in all.

        Returns:
            The path of the file.

        Raises:
            JobNotFound: there is no job with this id.
            NoCheckpointYet: the job has not saved any weights yet.
            CheckpointNotFound: the job has no checkpoint with this name.
            ChecksumMismatch: the file does not have the sha256 that the service announced.
            Unreachable: the download could not be resumed for five minutes.
        """
        is_alias = checkpoint in _ALIASES
        source = f"weights/{checkpoint}" if is_alias else f"checkpoints/{quote(checkpoint, safe='')}"
        file_name = f"{job_id}-{checkpoint}.weights.h5" if is_alias else checkpoint
        return self._download(f"{job_path(job_id)}/{source}", file_name, path, on_progress)

    def artifacts(self, job_id: str) -> Sequence[ArtifactView]:
        """Return the files that the callbacks of an ended job wrote, other than weights.

        Raises:
            JobNotFound: there is no job with this id.
        """
        return tuple(self._pages(f"{job_path(job_id)}/artifacts", ArtifactView))

    def download_artifact(
        self,
        job_id: str,
        name: str,
        path: str | os.PathLike[str] | None = None,
        *,
        on_progress: files.OnProgress | None = None,
    ) -> Path:
        """Download a file that a callback wrote.

        Args:
            job_id: the job.
            name: the name of the artifact.
            path: the file to write, or a folder for it; by default the current folder.
            on_progress: called with the bytes that have arrived and the bytes in all.

        Returns:
            The path of the file.

        Raises:
            JobNotFound: there is no job with this id.
            ArtifactNotFound: the job has no artifact with this name.
            ChecksumMismatch: the file does not have the sha256 that the service announced.
            Unreachable: the download could not be resumed for five minutes.
        """
        return self._download(f"{job_path(job_id)}/artifacts/{quote(name, safe='')}", name, path, on_progress)

    def _records(self, path: str, row_type: type[Row], follows: bool, after: int) -> Iterator[Row]:
        if not follows:
            return self._pages(path, row_type, {"after": after})
        return map(row_type.model_validate_json, follow.follow(self._transport, path, after))

    def _log_tail(self, job_id: str, follows: bool, tail: int) -> Iterator[LogLine]:
        last_id = 0
        for line in self._pages(f"{job_path(job_id)}/logs", LogLine, {"tail": tail}):
            last_id = line.id
            yield line
        if follows:
            yield from self.logs(job_id, follow=True, after=last_id)

    def _download(
        self, source: str, name: str, path: str | os.PathLike[str] | None, on_progress: files.OnProgress | None
    ) -> Path:
        target = Path(path) if path is not None else Path()
        if target.is_dir():
            # The name comes from the service: it may name a file in this folder, and must not lead out of it.
            target /= local_file_name(name)
        files.download(self._transport, source, target, on_progress)
        return target
