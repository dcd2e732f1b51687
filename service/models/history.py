"""What a job did: its epochs and their metrics, its events, and what it printed."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from fitqueue.states import EventKind
from service.column_types import Base, MetricValue, RowId


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
