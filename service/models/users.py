"""Users, their projects, and how they prove who they are."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, true
from sqlalchemy.orm import Mapped, mapped_column

from fitqueue.roles import Role, Scope
from service.column_types import Base

ADMIN_ID: Final = "usr_admin"
"""The user that every database has. What was stored before there were users is theirs."""

LAB_ID: Final = "prj_lab"
"""The project that every database has."""


class User(Base):
    """A person, or a program of theirs. Users are disabled and never deleted: jobs refer to them.

    - `share` is the part of the devices that the user has by right, relative to the shares of others.
    - `max_priority` is the highest priority that the user may give to a job. Admins may give any.
    - `limits` has the fields of UserLimits that are set; None: the user has no limits.
    """

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[Role]
    share: Mapped[float] = mapped_column(default=1.0, server_default="1")
    max_priority: Mapped[int] = mapped_column(default=0, server_default="0")
    limits: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("role IN ('admin', 'member', 'viewer')", name="role_known"),
        CheckConstraint("share > 0", name="share_positive"),
    )


class Project(Base):
    """What jobs and data sets belong to. It is open to all users, or to its members alone.

    - `share` is the part of the devices that it has by right, where turns go by projects.
    - `retention` has the fields of `Retention`. None: the default.
    - `retention_cursor` is set after `retention` has changed, until the times at which jobs are looked at have changed
      with it: the id of the last job whose time has.
    - `limits` has the fields of Limits that are set; None: it has no limits.
    """

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    is_open: Mapped[bool] = mapped_column(default=True, server_default=true())
    share: Mapped[float] = mapped_column(default=1.0, server_default="1")
    retention: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    retention_cursor: Mapped[str | None] = mapped_column(String(64))
    limits: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("share > 0", name="share_positive"),)


class ProjectMember(Base):
    """A user who sees a project that is not open to all."""

    __tablename__ = "project_members"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)

    __table_args__ = (Index(None, "user_id"),)


class Token(Base):
    """A bearer token of a user, stored as a hash.

    - `scope` narrows what its user may do with it.
    - `last_used_at` is exact to a minute: not each request is a write. `last_used_from` is an address.
    """

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[str] = mapped_column(String(64), default=ADMIN_ID, server_default=ADMIN_ID)
    scope: Mapped[Scope] = mapped_column(default=Scope.ALL, server_default=Scope.ALL)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    last_used_from: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (Index(None, "user_id", "id"),)


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
