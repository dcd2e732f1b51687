"""Trains one claimed job in a child process.

The supervisor is one loop over what the child sends. On each turn it records what arrived and keeps the deadlines;
files are stored by another thread. When the lease is lost, nothing more is recorded, because another worker has the
job.
"""

import logging
import shutil
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Final

from fitqueue.errors import DatabaseUnavailable
from fitqueue.reports import ArtifactWritten, CheckpointWritten, EpochEnded, SnapshotWritten
from fitqueue.states import JobState, Reason, state_of
from service.logs import bound
from service.models import Snapshot
from service.storage import StorageError
from service.store.leases import ClaimedJob, LeaseLost
from service.store.retry_policy import AttemptFailure
from workers.shared.paths import attempt_dir
from workers.shared.protocol import (
    Ended,
    LastMessage,
    PhaseChanged,
    Progress,
    ResourcesUsed,
    Resumed,
    SnapshotRefused,
    Start,
    Stopped,
)
from workers.supervisor import exit_reason, orphans, unsaved
from workers.supervisor.attempt_recorder import AttemptRecorder
from workers.supervisor.child import Child, ChildNotReading
from workers.supervisor.child_output import ChildOutput, LogLines, UnparsableLine
from workers.supervisor.child_stopper import ChildStopper, leave_cause
from workers.supervisor.context import WorkerContext
from workers.supervisor.fork_server import ForkServerBroken
from workers.supervisor.lease_renewer import LeaseRenewer
from workers.supervisor.memory import MemoryGuard
from workers.supervisor.outcome import (
    AttemptEnd,
    FailAttempt,
    Finish,
    Outcome,
    Requeue,
    after_training,
    before_training,
    on_error,
)
from workers.supervisor.preparation import Preparation, StoppedBeforeTraining
from workers.supervisor.storage_calls import call_storage, is_outage
from workers.supervisor.uploads import Uploads
from workers.supervisor.usage_meter import UsageMeter

_logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5


class Supervisor:
    """Runs one attempt at one job."""

    def __init__(self, context: WorkerContext, claimed: ClaimedJob) -> None:
        lease = claimed.lease
        self._context = context
        self._claimed = claimed
        self._recorder = AttemptRecorder(context.database, context.storage, lease, context.stopping, context.limits)
        self._renewer = LeaseRenewer(context.database, lease, context.lease_seconds, context.timeouts.hang)
        self._directory = attempt_dir(context.work_dir, lease.job_id, lease.attempt)
        self._snapshot: Snapshot | None = None
        self._last_lines: deque[str] = deque(maxlen=exit_reason.LINES_SHOWN)
        self._last_message: LastMessage | None = None

    def run(self) -> None:
        """Train the job until it ends or must leave this worker, and record the outcome.

        Raises:
            ForkServerBroken: no child can be started; the job was requeued.
            OSError: what the training needs cannot be fetched; the job was requeued.
        """
        lease = self._claimed.lease
        with bound(job=lease.job_id, attempt=lease.attempt):
            try:
                with self._renewer:
                    self._record(self._train())
            except LeaseLost as error:
                _logger.warning(
                    "The lease is lost; the work of this attempt is discarded.", extra={"error": str(error)}
                )
            except ForkServerBroken:
                self._record_if_held(Requeue("The worker cannot start training processes; the job is queued again."))
                raise
            except BaseException as error:
                # The caller logs it, where job and attempt are no longer bound.
                error.add_note(f"job {lease.job_id}, attempt {lease.attempt}")
                self._record_if_held(on_error(error))
                raise
            finally:
                shutil.rmtree(self._directory, ignore_errors=True)

    def _train(self) -> Outcome:
        preparation = Preparation(self._context, self._claimed, self._recorder, self._renewer, self._directory)
        try:
            start, self._snapshot = preparation.run()
        except StoppedBeforeTraining as stopped:
            return before_training(stopped.cause)
        return after_training(self._run_child(start))

    def _record(self, outcome: Outcome) -> None:
        match outcome:
            case Finish(reason=reason, message=message):
                failure = self._failure_of_last_checkpoint() if state_of(reason) is JobState.SUCCEEDED else None
                if failure is not None:
                    self._recorder.fail_attempt(failure)
                else:
                    self._recorder.finish(reason, message)
            case Requeue(why=why, preempted=preempted):
                self._recorder.requeue(why, preempted=preempted)
            case FailAttempt(failure=failure, forget_snapshot=forget_snapshot):
                if forget_snapshot and self._snapshot is not None:
                    self._recorder.forget_snapshot(self._snapshot, f"{failure.why}.")
                self._recorder.fail_attempt(failure)

    def _failure_of_last_checkpoint(self) -> AttemptFailure | None:
        """Return why the job has not succeeded although its training has: its last checkpoint cannot be read back."""
        timeout = self._context.timeouts.storage
        try:
            problem = call_storage(self._recorder.problem_of_last_checkpoint, self._make_poll(), timeout)
        except OSError as error:
            why = f"The last checkpoint cannot be read back: {error}"
            return AttemptFailure(why.removesuffix("."), Reason.STORAGE_FAILED, is_outage=is_outage(error))
        return None if problem is None else AttemptFailure(problem, Reason.STORAGE_FAILED)

    def _make_poll(self) -> Callable[[], None]:
        """Return what is called while the job needs only an answer of the storage; it ends that when time is up."""
        deadline = float("inf")

        def poll() -> None:
            nonlocal deadline
            self._renewer.check_in()
            if self._must_leave():
                deadline = min(deadline, time.monotonic() + self._context.timeouts.uploads)
            if time.monotonic() >= deadline:
                raise StorageError("The job had to leave the worker before the storage answered.")

        return poll

    def _record_if_held(self, outcome: Outcome) -> None:
        with suppress(LeaseLost):
            self._record(outcome)

    # --- The training -------------------------------------------------------------------------------------------

    def _run_child(self, start: Start) -> AttemptEnd:
        # At the end the child is stopped first, and then the uploads, which may take their time.
        with self._make_uploads() as uploads, self._context.spawn(start) as child:
            orphans.note(self._directory, child.pid)
            memory = MemoryGuard(child.pid, self._context.job_memory_bytes)
            meter = UsageMeter(child.pid, self._claimed.gpus, self._context.read_gpu_memory)
            self._recorder.watch(meter)
            with suppress(DatabaseUnavailable):  # the last renewal was seconds ago
                self._renewer.renew()
            with suppress(ChildNotReading):  # the deadline of its first message follows
                child.send(start)
            self._renewer.watch(child, meter)
            stopper = self._make_stopper(child)
            for output in child.outputs(POLL_SECONDS):
                if output is None:
                    stopper.note_silence()
                else:
                    self._handle(output, uploads, meter)
                    # Not before: while the database is slow, what the child sends waits to be read.
                    stopper.note_activity()
                self._recorder.store_lines()
                self._enforce_limits(child, uploads, stopper, memory)
                meter.sample_if_due()
                while uploads.is_full and uploads.failure is None and not self._context.stopping.is_set():
                    uploads.wait(POLL_SECONDS)
                    stopper.note_activity()
                    self._enforce_limits(child, uploads, stopper, memory)
                    meter.sample_if_due()
            self._recorder.store_lines(flush=True)
            self._wait_for(uploads)
        return self._make_end(child, uploads, stopper, memory)

    def _make_uploads(self) -> Uploads:
        return Uploads(self._recorder, self._directory, self._context.timeouts, lambda: not self._must_leave())

    def _must_leave(self) -> bool:
        """Return whether the worker shuts down or drains, or a user has asked to stop the job."""
        return leave_cause(self._renewer.requests, self._context.stopping) is not None

    def _make_stopper(self, child: Child) -> ChildStopper:
        max_runtime = self._claimed.spec.get("max_runtime_seconds")
        seconds_left = float("inf") if max_runtime is None else max_runtime - self._claimed.seconds_used
        return ChildStopper(
            child, self._context.timeouts, self._context.stopping, lambda: self._renewer.requests, seconds_left
        )

    def _handle(self, output: ChildOutput, uploads: Uploads, meter: UsageMeter) -> None:
        match output:
            case LogLines():
                self._recorder.add_lines(output)
                self._last_lines.extend(output.lines)
            case PhaseChanged():
                self._recorder.phase(output)
            case Resumed():
                self._recorder.resumed(output)
            case Progress():
                self._recorder.progress(output)
            case EpochEnded():
                self._recorder.epoch(output)
            case CheckpointWritten() | SnapshotWritten() | ArtifactWritten():
                uploads.add(output)
            case ResourcesUsed():
                meter.note_report(output)
            case Ended() | SnapshotRefused() | Stopped():
                self._last_message = output
            case UnparsableLine():
                _logger.error("The child sent a line that is not a message.", extra={"line": repr(output.line[:200])})

    def _enforce_limits(self, child: Child, uploads: Uploads, stopper: ChildStopper, memory: MemoryGuard) -> None:
        self._renewer.check_in()
        uploads.collect()
        if uploads.failure is not None or memory.check():
            child.signal(SIGKILL)
        stopper.enforce()

    def _wait_for(self, uploads: Uploads) -> None:
        """Wait until all files are stored, or one cannot be; a worker that shuts down waits only for a while."""
        deadline = float("inf")
        while uploads.pending and uploads.failure is None:
            if self._context.stopping.is_set():
                deadline = min(deadline, time.monotonic() + self._context.timeouts.uploads)
            if time.monotonic() >= deadline:
                uploads.abandon()
                return
            uploads.wait(POLL_SECONDS)
            self._renewer.check_in()
            uploads.collect()

    def _make_end(self, child: Child, uploads: Uploads, stopper: ChildStopper, memory: MemoryGuard) -> AttemptEnd:
        return AttemptEnd(
            last_message=self._last_message,
            exit_code=child.exit_code,
            stop_cause=stopper.cause,
            was_active=stopper.was_active,
            silent_seconds=self._context.timeouts.silence if stopper.was_killed_for_silence else None,
            last_lines=tuple(self._last_lines),
            memory_bound=memory.bound if memory.exceeded else None,
            upload_failure=uploads.failure,
            is_outage=uploads.is_outage,
            has_reached_limit=uploads.has_reached_limit,
            is_upload_abandoned=uploads.is_abandoned,
            unsaved_path=self._move_unsaved(uploads),
        )

    def _move_unsaved(self, uploads: Uploads) -> str | None:
        """Move the files that were not stored to where people find them; return where, for people.

        Files that a limit forbids are not kept there either.
        """
        if not uploads.pending or uploads.has_reached_limit:
            return None
        path: Path | None = unsaved.move(
            self._directory, self._context.unsaved_dir, uploads.pending, replace_earlier=uploads.is_outage
        )
        return f"{path} on {socket.gethostname()}" if path else None
