"""Workers, and the GPUs that their jobs hold."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from service.column_types import Base


class Worker(Base):
    """A registered worker. It is alive while it sends heartbeats and has not signed off.

    - `versions` has the versions of its programs, by name.
    - `gpu_use` is a list with the fields of GPUUse, as the newest heartbeat told them, and `is_foreign`: whether a
      program outside FitQueue used the GPU.
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
