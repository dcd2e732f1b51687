"""The tables. What must always hold of a row stands here as a constraint, so that no code can break it."""

import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import BigInteger, Integer

from fitqueue.states import FINAL_STATES, EventKind, JobState, Phase, Reason


class UTCDateTime(TypeDecorator[datetime]):
    """A moment. SQLite knows no time zones: there it is kept in UTC without one, and gets it back when it is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A moment needs a time zone; got {value!r}.")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 -- SQLAlchemy calls it so
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class MetricValue(TypeDecorator[float]):
    """A float that may be NaN or infinite. SQLite keeps NaN as NULL, so NULL is read as NaN."""

    impl = Double
    cache_ok = True

    def process_result_value(
        self,
        value: float | None,
        dialect: Dialect,  # noqa: ARG002 -- SQLAlchemy calls it so
    ) -> float:
        return math.nan if value is None else value


def _words(kind: type[StrEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=32, values_callable=lambda members: [str(m.value) for m in members])


def _listed(states: frozenset[JobState]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


# SQLite counts only a column of exactly this type as the row's own number.
_RowNumber = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 -- SQLAlchemy reads it by this name
        datetime: UTCDateTime,
        float: Double,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        JobState: _words(JobState),
        Reason: _words(Reason),
        Phase: _words(Phase),
        EventKind: _words(EventKind),
    }


class Job(Base):
    """A job and where it stands. `state` is written by `service/store/transitions.py` alone.

    `attempt` counts the claims and fences the writes of each; `losses` counts the attempts that ended by the fault of
    the machines, which is what `max_attempts` limits: a worker that is shut down in order costs a job nothing.
    `worker_id` stays when the job has ended, to tell who trained it. `version` grows with every change of the row.
    `stalls` counts the losses in a row after which the job would have gone on from the same place, `stalled_epoch` and
    `stalled_step`. `writes` is the number of the last write of the present attempt, each of which is done once. The
    last extension gave the job `extended_by_epochs` when `extended_at_epoch` epochs were trained.
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
    spec: Mapped[dict[str, Any]]
    notices: Mapped[list[Any]]
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    epochs: Mapped[int]
    epoch: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int | None]
    best_epoch: Mapped[int | None]
    best_monitor: Mapped[str | None] = mapped_column(String(256))
    best_value: Mapped[float | None]
    attempt: Mapped[int] = mapped_column(default=0)
    losses: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    max_runtime_seconds: Mapped[int | None]
    seconds_used: Mapped[float] = mapped_column(default=0.0)
    worker_id: Mapped[str | None] = mapped_column(String(64))
    lease_expires_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    pause_requested_at: Mapped[datetime | None]
    extended_at_epoch: Mapped[int | None]
    extended_by_epochs: Mapped[int | None]
    stalls: Mapped[int] = mapped_column(default=0, server_default="0")
    stalled_epoch: Mapped[int | None]
    stalled_step: Mapped[int | None]
    writes: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    token_id: Mapped[str | None] = mapped_column(String(64))
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    idempotency_sha256: Mapped[str | None] = mapped_column(String(64))
    # Without `none_as_null` JSON's own null would stand there.
    model_summary: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    __table_args__ = (
        CheckConstraint(f"state IN ({_listed(frozenset(JobState))})", name="state_known"),
        CheckConstraint(f"(finished_at IS NOT NULL) = (state IN ({_listed(FINAL_STATES)}))", name="finished_if_final"),
        CheckConstraint("(reason IS NOT NULL) = (finished_at IS NOT NULL)", name="reason_if_finished"),
        CheckConstraint("(lease_expires_at IS NOT NULL) = (state = 'running')", name="leased_if_running"),
        CheckConstraint("state <> 'running' OR worker_id IS NOT NULL", name="worker_if_running"),
        CheckConstraint("phase IS NULL OR state = 'running'", name="phase_only_running"),
        CheckConstraint("state <> 'queued' OR cancel_requested_at IS NULL", name="no_wish_while_queued"),
        CheckConstraint("attempt >= 0 AND losses >= 0 AND losses <= attempt", name="attempts_counted"),
        CheckConstraint("epoch >= 0 AND epoch <= epochs", name="epoch_in_range"),
        CheckConstraint("(idempotency_key IS NULL) = (idempotency_sha256 IS NULL)", name="idempotency_whole"),
        UniqueConstraint("token_id", "idempotency_key"),
        # The queue in its order, and the leases that the sweeper looks through: no larger than what waits and runs.
        # With `gpus`, jobs that do not fit are passed over by thousands without a look at their rows.
        Index(
            "ix_jobs_waiting",
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
        Index(None, "state", "id"),
        Index(None, "dataset_id"),
    )


class JobLabel(Base):
    """The labels of `spec` once more, where a filter finds them."""

    __tablename__ = "job_labels"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    value: Mapped[str] = mapped_column(String(256))

    __table_args__ = (Index(None, "key", "value", "job_id"),)


class Epoch(Base):
    """One trained epoch of the job's present attempt."""

    __tablename__ = "epochs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    learning_rate: Mapped[float | None]
    seconds: Mapped[float]
    steps: Mapped[int]
    attempt: Mapped[int]
    finished_at: Mapped[datetime]


class EpochMetric(Base):
    """One value that an epoch logged; `position` keeps Keras's order."""

    __tablename__ = "epoch_metrics"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(256), primary_key=True)
    position: Mapped[int]
    value: Mapped[float] = mapped_column(MetricValue, nullable=True)


class Event(Base):
    """What happened to a job. Of one job, ids grow in the order of the commits: each writer holds the job's row."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(_RowNumber, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[EventKind]
    at: Mapped[datetime]
    attempt: Mapped[int]
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]]

    __table_args__ = (Index(None, "job_id", "id"), {"sqlite_autoincrement": True})


class LogLine(Base):
    """A line that the job's process wrote."""

    __tablename__ = "log_lines"

    id: Mapped[int] = mapped_column(_RowNumber, primary_key=True, autoincrement=True)
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
    """A name under which a job's weights can be fetched. Several names may share one stored file."""

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
    attempt: Mapped[int]
    created_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("format IN ('weights.h5', 'keras')", name="format_known"),)


class Artifact(Base):
    """A file that a callback of the job wrote beside its weights: TensorBoard's events, CSVLogger's table."""

    __tablename__ = "artifacts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    storage_key: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[int]
    created_at: Mapped[datetime]


class Snapshot(Base):
    """A file from which the training of a job can go on: `epoch` whole epochs are trained, and `step` steps."""

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


class Dataset(Base):
    """An uploaded `.npz`, once by its content. `arrays` is a list of `{name, shape, dtype}`."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    size: Mapped[int] = mapped_column(BigInteger)
    storage_key: Mapped[str] = mapped_column(String(255))
    arrays: Mapped[list[Any]]
    created_at: Mapped[datetime]


class Worker(Base):
    """A worker that registered. It lives as long as it is seen and has not said goodbye."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pools: Mapped[list[Any]]
    slots: Mapped[int]
    devices: Mapped[list[Any]]
    gpu_uuids: Mapped[list[Any]] = mapped_column(server_default="[]")
    started_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]


class GPUClaim(Base):
    """A GPU that a running job holds: of each GPU one row at most, and none when its job runs no more.

    Who held it earlier stands in the events: `claimed` names the GPUs of the attempt.
    """

    __tablename__ = "gpu_claims"

    gpu_uuid: Mapped[str] = mapped_column(String(96), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    worker_id: Mapped[str] = mapped_column(String(64))
    claimed_at: Mapped[datetime]

    __table_args__ = (Index(None, "job_id"),)


class Tally(Base):
    """How often something was, and what it amounts to; rows outlive the jobs that they were counted of."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    pool: Mapped[str] = mapped_column(String(64), primary_key=True)
    bucket: Mapped[str] = mapped_column(String(32), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[float]


class Token(Base):
    """A bearer token, of which only the hash is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
