"""The tables. An invariant of a row is a constraint here, so that no code can break it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from fitqueue.reports import Position
from fitqueue.states import FINAL_STATES, EventKind, JobState, Phase, Reason
from service.column_types import Base, MetricValue, RowId


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
    extended_at_epoch: Mapped[int | None]
    extended_by_epochs: Mapped[int | None]
    stalled_attempts: Mapped[int] = mapped_column(default=0)
    stalled_epoch: Mapped[int | None]
    stalled_step: Mapped[int | None]
    last_write: Mapped[int] = mapped_column(default=0)
    outages: Mapped[int] = mapped_column(default=0, server_default="0")
    bounded_events: Mapped[int] = mapped_column(default=0, server_default="0")
    events_left_out: Mapped[int] = mapped_column(default=0, server_default="0")
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
    token_id: Mapped[str | None] = mapped_column(String(64))
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
        # The queue in claim order, and the leases that the reaper scans: partial indexes, no larger than what is queued
        # or running. With `gpus` in it, thousands of jobs that do not fit are skipped without reading their rows.
        Index(
            "ix_jobs_queued",
            "pool",
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
        Index(None, "token_id", "id"),
        Index(None, "dataset_id", "id"),
        Index(None, "weights_dataset_id", "id"),
        Index(None, "builtin_dataset", "id"),
    )


class JobLabel(Base):
    """A copy of the labels in `spec`, for filters."""

    __tablename__ = "job_labels"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    value: Mapped[str] = mapped_column(String(256))

    __table_args__ = (Index(None, "key", "value", "job_id"),)


class Epoch(Base):
    """One trained epoch. When an attempt starts over at an earlier epoch, the later rows are deleted."""

    __tablename__ = "epochs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    learning_rate: Mapped[float | None]
    seconds: Mapped[float]
    steps: Mapped[int]
    attempt: Mapped[int]
    finished_at: Mapped[datetime]


class EpochMetric(Base):
    """One value that an epoch logged. `ordinal` keeps Keras's order."""

    __tablename__ = "epoch_metrics"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(256), primary_key=True)
    ordinal: Mapped[int]
    value: Mapped[float] = mapped_column(MetricValue, nullable=True)


class StepMetrics(Base):
    """A point within an epoch: its metrics after `step` steps. `ordinal` counts the points of a job.

    When an attempt starts over at an earlier position, the later rows are deleted. In `metrics`, a value that is not
    finite is a word.
    """

    __tablename__ = "step_metrics"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    step: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    attempt: Mapped[int]
    at: Mapped[datetime]


class Event(Base):
    """Something that happened to a job. Within a job, ids grow in commit order: each writer holds the job's row."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[EventKind]
    at: Mapped[datetime]
    attempt: Mapped[int]
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]]

    __table_args__ = (Index(None, "job_id", "id"), {"sqlite_autoincrement": True})


class LogLine(Base):
    """A line that the training process printed."""

    __tablename__ = "log_lines"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    attempt: Mapped[int]
    stream: Mapped[str] = mapped_column(String(6))
    text: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("stream IN ('stdout', 'stderr')", name="stream_known"),
        Index(None, "job_id", "id"),
        {"sqlite_autoincrement": True},
    )


class Checkpoint(Base):
    """A name under which weights of a job can be fetched. Several names may share one stored file."""

    __tablename__ = "checkpoints"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    storage_key: Mapped[str] = mapped_column(String(255))
    format: Mapped[str] = mapped_column(String(16))
    epoch: Mapped[int]
    batch: Mapped[int | None]
    metrics: Mapped[dict[str, Any]]
    monitor: Mapped[str | None] = mapped_column(String(256))
    value: Mapped[float | None]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    has_optimizer: Mapped[bool] = mapped_column(default=False, server_default=false())
    attempt: Mapped[int]
    created_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("format IN ('weights.h5', 'keras')", name="format_known"),)


class Artifact(Base):
    """A file that a callback of the job wrote besides weights: TensorBoard's events, CSVLogger's table."""

    __tablename__ = "artifacts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    storage_key: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[int]
    created_at: Mapped[datetime]


class Snapshot(Base):
    """A stored file from which training can resume, taken after `epoch` epochs and `step` steps of the next."""

    __tablename__ = "snapshots"

    storage_key: Mapped[str] = mapped_column(String(255), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    epoch: Mapped[int]
    step: Mapped[int]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[int]
    created_at: Mapped[datetime]

    __table_args__ = (Index(None, "job_id"),)

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.step)


class Dataset(Base):
    """An uploaded `.npz`.

    - `arrays` is a list of `{name, shape, dtype, values}`, with the fields of ArrayInfo.
    - `left_out` is a list of `{name, reason}`: what nobody can train on.
    - `sha256` is not unique: the same content may have several names, each with a file of its own.
    - `sent_sha256` is that of the file as it was sent. It differs if weights were converted.
    - `last_used_at` is when a job was submitted with it, or the same content was uploaded or looked for, to the hour.
    - One without a name has its id as `name`.
    - `token_id` is the token that uploaded it; None if a version without this column has stored it.
    """

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    sent_sha256: Mapped[str | None] = mapped_column(String(64))
    storage_key: Mapped[str] = mapped_column(String(255))
    arrays: Mapped[list[Any]]
    left_out: Mapped[list[Any]]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    token_id: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (Index(None, "sha256"), Index(None, "sent_sha256"), Index(None, "token_id", "id"))

    @property
    def is_unnamed(self) -> bool:
        return self.name == self.id


class Worker(Base):
    """A registered worker. It is alive while it sends heartbeats and has not signed off.

    - `versions` has the versions of its programs, by name.
    - `gpu_use` is a list with the fields of GPUUse, as the newest heartbeat told them.
    - `draining_since` is set while it claims no job. At `drains_until` it requeues those that it still trains; None: it
      trains them to their end.
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pools: Mapped[list[Any]]
    slots: Mapped[int]
    devices: Mapped[list[Any]]
    gpu_uuids: Mapped[list[Any]]
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    versions: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    gpu_use: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    started_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
    draining_since: Mapped[datetime | None]
    drains_until: Mapped[datetime | None]


class GPUClaim(Base):
    """A GPU that a running job holds: at most one row for each GPU, and none once its job has left the worker.

    Earlier holders are in the events: `claimed` names the GPUs of the attempt.
    """

    __tablename__ = "gpu_claims"

    gpu_uuid: Mapped[str] = mapped_column(String(96), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    worker_id: Mapped[str] = mapped_column(String(64))
    claimed_at: Mapped[datetime]

    __table_args__ = (Index(None, "job_id"),)


class TrainingTime(Base):
    """How long jobs of one kind have taken, in one pool with so many GPUs. Rows outlive the jobs.

    - `key` is the jobs' `timing_key`, and `work` the size of an epoch of theirs.
    - `start_seconds` is what a job takes besides its epochs: loading, building, and saving at the end.
    - `paced_epochs` is how many epochs the newest of them had. With only one, its pace is that of a first epoch.
    """

    __tablename__ = "training_times"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    pool: Mapped[str] = mapped_column(String(64))
    gpus: Mapped[int]
    work: Mapped[float | None]
    seconds_per_epoch: Mapped[float]
    start_seconds: Mapped[float]
    paced_epochs: Mapped[int]
    updated_at: Mapped[datetime]

    __table_args__ = (Index(None, "updated_at"),)


class Counter(Base):
    """A count and a sum for Prometheus. Rows outlive the jobs that they count."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    pool: Mapped[str] = mapped_column(String(64), primary_key=True)
    bucket: Mapped[str] = mapped_column(String(32), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[float]


class PoolUsage(Base):
    """What the attempts in a pool that have ended used. Rows outlive the jobs that they count."""

    __tablename__ = "pool_usage"

    pool: Mapped[str] = mapped_column(String(64), primary_key=True)
    gpu_seconds: Mapped[float]
    cpu_seconds: Mapped[float]


class StorageIdentity(Base):
    """The identity of the storage that the rows refer to: one row, which `fitqueue migrate` and `fitqueue up` write."""

    __tablename__ = "storage_identity"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    identity: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("number = 1", name="only_one"),)


class Token(Base):
    """A bearer token, stored as a hash."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class LoginSession(Base):
    """A browser that is logged in. Its cookie is stored as a hash. It ends with its token, or when nobody uses it.

    `last_used_at` is exact to a minute: not each request is a write.
    """

    __tablename__ = "login_sessions"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    token_id: Mapped[str] = mapped_column(ForeignKey("tokens.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]

    __table_args__ = (Index(None, "last_used_at"),)


class LoginLink(Base):
    """An address that logs a browser in once. What makes it secret is stored as a hash."""

    __tablename__ = "login_links"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    token_id: Mapped[str] = mapped_column(ForeignKey("tokens.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]

    __table_args__ = (Index(None, "expires_at"),)
