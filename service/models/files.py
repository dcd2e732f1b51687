"""What is stored in files: checkpoints, artifacts, snapshots and data sets."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from fitqueue.reports import Position
from service.column_types import Base
from service.models.users import ADMIN_ID, LAB_ID


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
    - One without a name has its id as `name`. The name of one in a project other than `lab` begins with the project's
      name and a slash: names are unique, and a name in another project must not tell that it exists.
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
    owner_id: Mapped[str] = mapped_column(String(64), default=ADMIN_ID, server_default=ADMIN_ID)
    project_id: Mapped[str] = mapped_column(String(64), default=LAB_ID, server_default=LAB_ID)
    token_id: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        Index(None, "sha256"),
        Index(None, "sent_sha256"),
        Index(None, "token_id", "id"),
        Index(None, "owner_id", "id"),
        Index(None, "project_id", "id"),
    )

    @property
    def is_unnamed(self) -> bool:
        return self.name == self.id

    @property
    def plain_name(self) -> str:
        """Its name within its project."""
        return self.name.rpartition("/")[2]


class StorageIdentity(Base):
    """The identity of the storage that the rows refer to: one row, which `fitqueue migrate` and `fitqueue up` write."""

    __tablename__ = "storage_identity"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    identity: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("number = 1", name="only_one"),)
