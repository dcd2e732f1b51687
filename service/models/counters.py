"""Counts and times that outlive the jobs that they are about."""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from service.column_types import Base


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


class OwnerUsage(Base):
    """What the attempts of a user's jobs in a project that have ended used. Rows outlive the jobs that they count.

    `deleted_jobs` counts the jobs that no longer have a row.
    """

    __tablename__ = "owner_usage"

    owner_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    gpu_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    cpu_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    deleted_jobs: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class TurnUsage(Base):
    """What a user or a project has used of late, by which the turns go: see `service/store/turns.py`.

    - `account_id` is the id of the user or of the project.
    - `used` is in GPU-seconds, as they counted at `used_at`, in seconds since 1970. It halves every two days.
    - `mean_seconds` is how long the latest jobs took.
    """

    __tablename__ = "turn_usage"

    account_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    used: Mapped[float]
    used_at: Mapped[float]
    mean_seconds: Mapped[float | None]
