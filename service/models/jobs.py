"""Jobs and their labels."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false, literal, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from fitqueue.states import FINAL_STATES, JobState, Phase, Reason
from service.column_types import Base
from service.models.users import ADMIN_ID, LAB_ID


def _sql_list(states: frozenset[JobState]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


class Job(Base):
    """A job and its state. Only `service/store/transitions.py` writes `state`.

    - `attempt` counts the claims, and fences the writes of each attempt.
    - `failed_attempts` counts the attempts that failed because of the machines; `max_attempts` limits it. A worker that
      shuts down in order does not count.
    - `stalled_attempts` counts the failed attempts in a row whose newest snapshot was at the same position,
      `stalled_epoch` and `stalled_step`.
    - `outages` counts the attempts in a row that ended because files could not be stored. They are not failed attempts.
    - `worker_id` stays after the job has ended, to show who trained it.
    - `spec`, `notices` and `model_summary` can be a megabyte, so they are read only when they are used.
    - `not_after` is when a queued job that no worker has claimed yet ends as not scheduled; None: it may wait for ever.
    - `version` grows with every change of the row.
    - `last_write` is the number of the newest write of the current attempt. It makes a repeated write a no-op.
    - `deleted_at` hides the job, whose rows and files are then deleted in steps.
    - `bounded_events` counts the events about epochs and checkpoints that are stored, `events_left_out` those that are
      not, because there were too many.
    - `log_bytes` is how many bytes the stored lines of its log have; `log_lines_left_out` counts the lines that were
      deleted because there were too many.
    - `running_metrics` are the metrics at `epoch` and `step`; a value that is not finite is a word.
    - `step_points` counts the points of the series within epochs, those included that were thinned out.
    - `builtin_dataset` is the name of the built-in data set that the job takes its data from, for filters. Jobs that a
      version without this column has stored have none.
    - `seconds_used` is how long its attempts ran since it was submitted or last extended.
    - `attempt_…` is what the running or last attempt used, and `earlier_…` what all attempts before it used.
      `attempt_seconds` is set when the attempt ends. The others are measured while it runs; 0 is what was not measured.
    - `extended_by_epochs` and `extended_at_epoch` describe the latest extension: how many epochs it added, and how many
      had been trained by then.
    - `timing_key` is what jobs have in common that take equally long, and `work` the size of an epoch: parameters ×
      samples. `may_end_early`: whether a callback may end the training before its last epoch. None: jobs of a version
      without these columns.
    - `seconds_per_epoch` is the pace of the training, from the end of one epoch to that of the next. `paced_epochs` of
      this attempt are in it; while there is none, it is that of the attempt before or of similar jobs. `paced_at` is
      when the last epoch of this attempt ended, or its training began.
    - `preemptible` jobs run on what is idle. `preempt_requested_at` is when a running one was asked to make room.
    - `turn_charge` is what the running attempt counts in the turns of its owner and its project; see
      `service/store/turns.py`.
    - `told_verdict` is the verdict of the diagnosis that webhooks were told last.
    - `weights_job_id` is the job whose checkpoint its training starts from.
    - `keep` exempts the job from the retention of its project. `removed` says what that has removed: for each
      `Removable` the fields of `RemovedView`. At `retention_due_at` the job is looked at for what is due; None: never.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(128))
    state: Mapped[JobState] = mapped_column(default=JobState.QUEUED)
    reason: Mapped[Reason | None]
    message: Mapped[str | None] = mapped_column(Text)
    phase: Mapped[Phase | None]
    pool: Mapped[str] = mapped_column(String(64))
    gpus: Mapped[int]
    priority: Mapped[int]
    preemptible: Mapped[bool] = mapped_column(default=False, server_default=false())
    spec: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    notices: Mapped[list[Any]] = mapped_column(deferred=True)
    # Without `none_as_null` the column would hold JSON's null.
    model_summary: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    weights_dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    builtin_dataset: Mapped[str | None] = mapped_column(String(128))
    epochs: Mapped[int]
    epoch: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int | None]
    best_epoch: Mapped[int | None]
    best_monitor: Mapped[str | None] = mapped_column(String(256))
    best_value: Mapped[float | None]
    attempt: Mapped[int] = mapped_column(default=0)
    failed_attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    max_runtime_seconds: Mapped[int | None]
    max_queued_seconds: Mapped[int | None]
    seconds_used: Mapped[float] = mapped_column(default=0.0)
    worker_id: Mapped[str | None] = mapped_column(String(64))
    lease_expires_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    not_after: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    pause_requested_at: Mapped[datetime | None]
    preempt_requested_at: Mapped[datetime | None]
    extended_at_epoch: Mapped[int | None]
    extended_by_epochs: Mapped[int | None]
    stalled_attempts: Mapped[int] = mapped_column(default=0)
    stalled_epoch: Mapped[int | None]
    stalled_step: Mapped[int | None]
    last_write: Mapped[int] = mapped_column(default=0)
    outages: Mapped[int] = mapped_column(default=0, server_default="0")
    bounded_events: Mapped[int] = mapped_column(default=0, server_default="0")
    events_left_out: Mapped[int] = mapped_column(default=0, server_default="0")
    log_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    log_lines_left_out: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    running_metrics: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    step_points: Mapped[int] = mapped_column(default=0, server_default="0")
    attempt_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    earlier_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    attempt_cpu_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    earlier_cpu_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    attempt_peak_memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    earlier_peak_memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    attempt_peak_gpu_memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    earlier_peak_gpu_memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    timing_key: Mapped[str | None] = mapped_column(String(64))
    work: Mapped[float | None]
    may_end_early: Mapped[bool | None]
    seconds_per_epoch: Mapped[float | None]
    paced_at: Mapped[datetime | None]
    paced_epochs: Mapped[int] = mapped_column(default=0, server_default="0")
    turn_charge: Mapped[float] = mapped_column(default=0.0, server_default="0")
    told_verdict: Mapped[str | None] = mapped_column(String(32))
    owner_id: Mapped[str] = mapped_column(String(64), default=ADMIN_ID, server_default=ADMIN_ID)
    project_id: Mapped[str] = mapped_column(String(64), default=LAB_ID, server_default=LAB_ID)
    token_id: Mapped[str | None] = mapped_column(String(64))
    weights_job_id: Mapped[str | None] = mapped_column(String(64))
    keep: Mapped[bool] = mapped_column(default=False, server_default=false())
    removed: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    retention_due_at: Mapped[datetime | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    idempotency_sha256: Mapped[str | None] = mapped_column(String(64))
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"state IN ({_sql_list(frozenset(JobState))})", name="state_known"),
        CheckConstraint(
            f"(finished_at IS NOT NULL) = (state IN ({_sql_list(FINAL_STATES)}))", name="finished_if_final"
        ),
        CheckConstraint("(reason IS NOT NULL) = (finished_at IS NOT NULL)", name="reason_if_finished"),
        CheckConstraint("(lease_expires_at IS NOT NULL) = (state = 'running')", name="leased_if_running"),
        CheckConstraint("state <> 'running' OR worker_id IS NOT NULL", name="worker_if_running"),
        CheckConstraint("phase IS NULL OR state = 'running'", name="phase_only_running"),
        CheckConstraint("state <> 'queued' OR cancel_requested_at IS NULL", name="no_cancel_request_while_queued"),
        CheckConstraint("failed_attempts >= 0 AND failed_attempts <= attempt", name="attempts_counted"),
        CheckConstraint("epoch >= 0 AND epoch <= epochs", name="epoch_in_range"),
        CheckConstraint("(idempotency_key IS NULL) = (idempotency_sha256 IS NULL)", name="idempotency_whole"),
        UniqueConstraint("token_id", "idempotency_key"),
        # The queue of each owner in each project, the queue by age, and the leases that the reaper scans: partial
        # indexes, no larger than what is queued or running. With `gpus` in them, thousands of jobs that do not fit are
        # skipped without reading their rows, and with the owner and the project those that are at a limit. A claim does
        # not say that `reason` is NULL, and cannot use the queue by age: without statistics, PostgreSQL would take it
        # and sort what it finds there.
        Index(
            "ix_jobs_queued",
            "pool",
            "preemptible",
            text("priority DESC"),
            "id",
            "gpus",
            "owner_id",
            "project_id",
            sqlite_where=text("state = 'queued' AND reason IS NULL"),
            postgresql_where=text("state = 'queued' AND reason IS NULL"),
        ),
        Index(
            "ix_jobs_turns",
            "pool",
            "project_id",
            "owner_id",
            "preemptible",
            text("priority DESC"),
            "id",
            "gpus",
            sqlite_where=text("state = 'queued'"),
            postgresql_where=text("state = 'queued'"),
        ),
        Index(
            "ix_jobs_leases",
            "lease_expires_at",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index(
            "ix_jobs_not_after",
            "not_after",
            sqlite_where=text("not_after IS NOT NULL"),
            postgresql_where=text("not_after IS NOT NULL"),
        ),
        Index(
            "ix_jobs_retention_due_at",
            "retention_due_at",
            "id",
            sqlite_where=text("retention_due_at IS NOT NULL"),
            postgresql_where=text("retention_due_at IS NOT NULL"),
        ),
        Index(
            "ix_jobs_weights_job_id",
            "weights_job_id",
            sqlite_where=text("weights_job_id IS NOT NULL AND finished_at IS NULL"),
            postgresql_where=text("weights_job_id IS NOT NULL AND finished_at IS NULL"),
        ),
        Index(
            "ix_jobs_deleted",
            "deleted_at",
            "id",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        # Each filter and order of the list has its index: without one, a filter that no job matches reads all jobs.
        Index(None, "state", "id"),
        Index(None, "pool", "id"),
        Index(None, "name", "id"),
        Index(None, "finished_at", "id"),
        Index(None, "owner_id", "id"),
        Index(None, "project_id", "id"),
        Index(None, "token_id", "id"),
        Index(None, "dataset_id", "id"),
        Index(None, "weights_dataset_id", "id"),
        Index(None, "builtin_dataset", "id"),
    )


QUEUED: Final = literal(JobState.QUEUED, Job.state.type, literal_execute=True)
"""In the text of the SQL: with a parameter, SQLite reads each row to compare it, although the index has no others."""


class JobLabel(Base):
    """A copy of the labels in `spec`, for filters."""

    __tablename__ = "job_labels"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    value: Mapped[str] = mapped_column(String(256))

    __table_args__ = (Index(None, "key", "value", "job_id"),)
