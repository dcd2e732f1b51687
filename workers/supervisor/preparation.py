"""Fetches what the training of one attempt needs, and records where it starts."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from fitqueue.reports import Position
from service.models import Snapshot
from service.store.leases import ClaimedJob
from workers.shared.paths import fetched_dir
from workers.shared.protocol import Start, StopCause
from workers.supervisor.attempt_recorder import AttemptRecorder
from workers.supervisor.child_stopper import leave_cause
from workers.supervisor.context import WorkerContext
from workers.supervisor.fetched_files import SnapshotUnreadable, fetch_dataset, fetch_initial_weights, fetch_snapshot
from workers.supervisor.lease_renewer import LeaseRenewer
from workers.supervisor.storage_calls import OnChunk, call_storage

_logger = logging.getLogger(__name__)

OLDER_SNAPSHOT_AFTER_STALLS: Final = 2

Result = TypeVar("Result")


class StoppedBeforeTraining(Exception):
    """Before the training began, the worker was shut down or a user stopped the job."""

    def __init__(self, cause: StopCause) -> None:
        super().__init__(cause)
        self.cause = cause


class Prepared(NamedTuple):
    """The first message to the child, and the snapshot that it names."""

    start: Start
    snapshot: Snapshot | None


class Preparation:
    """What happens before the child is started. Each file is fetched where that can be abandoned if it hangs."""

    def __init__(
        self,
        context: WorkerContext,
        claimed: ClaimedJob,
        recorder: AttemptRecorder,
        renewer: LeaseRenewer,
        directory: Path,
    ) -> None:
        """Prepare to fetch; `directory` is the one that the child writes to."""
        self._context = context
        self._claimed = claimed
        self._recorder = recorder
        self._renewer = renewer
        self._directory = directory

    def run(self) -> Prepared:
        """Fetch what the training needs, and record where it starts.

        Raises:
            StoppedBeforeTraining: the job must leave this worker.
            OSError: something cannot be fetched.
        """
        folder = fetched_dir(self._directory)
        folder.mkdir(parents=True)
        snapshot, snapshot_path = self._fetch_snapshot(folder)
        self._recorder.begin(snapshot.position if snapshot is not None else Position(0))
        lease, storage, datasets = self._claimed.lease, self._context.storage, self._context.datasets
        start = Start(
            job_id=lease.job_id,
            attempt=lease.attempt,
            spec=self._claimed.spec,
            dataset_path=self._fetch(lambda on_chunk: fetch_dataset(datasets, self._claimed, folder, on_chunk)),
            initial_weights=self._fetch(
                lambda on_chunk: fetch_initial_weights(storage, datasets, self._claimed, folder, on_chunk)
            ),
            snapshot=str(snapshot_path.absolute()) if snapshot_path else None,
            extended=snapshot is not None and snapshot.epoch == self._claimed.extended_at_epoch,
            snapshot_seconds=self._context.snapshot_seconds,
            max_artifact_bytes=self._context.limits.artifact_bytes,
            work_dir=str(self._directory.absolute()),
            gpus=list(self._claimed.gpus),
            cpu_devices=self._context.cpu_devices,
            threads=self._context.threads,
            lease_seconds=self._renewer.child_seconds,
        )
        self._raise_if_stopped()
        return Prepared(start, snapshot)

    def _fetch_snapshot(self, folder: Path) -> tuple[Snapshot, Path] | tuple[None, None]:
        """Return the snapshot to resume from, and its path. Those that cannot be read are forgotten on the way."""
        for snapshot in self._recorder.snapshots()[self._snapshots_to_skip() :]:
            try:
                path = self._fetch(partial(fetch_snapshot, self._context.storage, snapshot, folder))
            except SnapshotUnreadable as error:
                _logger.error("A snapshot cannot be read.", extra={"key": snapshot.storage_key, "error": str(error)})
                subject = f"The snapshot {snapshot.position.description} of attempt {snapshot.attempt}"
                self._recorder.forget_snapshot(snapshot, f"{subject} cannot be used: {error}.")
            else:
                return snapshot, path
        return None, None

    def _snapshots_to_skip(self) -> int:
        """Skip the newest snapshot if attempt after attempt fails: it may be the cause.

        An extended job has no older one; without any, the callback that had ended it would end it again.
        """
        has_stalled = self._claimed.stalled_attempts >= OLDER_SNAPSHOT_AFTER_STALLS
        return 1 if has_stalled and self._claimed.extended_at_epoch is None else 0

    def _fetch(self, fetch: Callable[[OnChunk], Result]) -> Result:
        return call_storage(fetch, self._raise_if_stopped, self._context.timeouts.storage)

    def _raise_if_stopped(self) -> None:
        self._renewer.check_in()
        cause = leave_cause(self._renewer.requests, self._context.stopping)
        if cause is not None:
            raise StoppedBeforeTraining(cause)
