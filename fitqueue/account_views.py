"""What the API answers about users, projects and tokens."""

from datetime import datetime
from typing import Any

from pydantic import Field

from fitqueue.limits import Holdings, Limits, UserLimits
from fitqueue.retention import Retention
from fitqueue.roles import Role, Scope
from fitqueue.view import View


class UserView(View):
    """A user. Their jobs and data sets have the name as `owner`."""

    SHOWN = ("name", "role")

    id: str
    name: str
    role: Role
    share: float = Field(description="the part of the devices that the user has by right, relative to others")
    max_priority: int = Field(description="the highest priority that the user may give to a job; admins may give any")
    limits: UserLimits = Field(default_factory=UserLimits, description="what the user may have at the most")
    usage: Holdings = Field(default_factory=Holdings, description="what the user has now")
    created_at: datetime
    disabled_at: datetime | None = Field(description="since when no token of the user is valid")


class ProjectView(View):
    """A project. Its jobs and data sets have the name as `project`."""

    SHOWN = ("name", "open")

    id: str
    name: str
    open: bool = Field(description="whether all users see it, or its members alone")
    share: float = Field(description="the part of the devices that it has by right, where turns go by projects")
    limits: Limits = Field(default_factory=Limits, description="what it may have at the most")
    usage: Holdings = Field(default_factory=Holdings, description="what it has now")
    retention: Retention = Field(default_factory=Retention, description="how long it keeps what ended jobs have left")
    members: list[str] = Field(description="the names of its members, who matter if it is not open")
    created_at: datetime


class TokenView(View):
    """A token, without its secret."""

    SHOWN = ("name", "user", "scope")

    id: str
    name: str = Field(
        description="what its jobs and data sets have as `submitted_by`; several tokens may have one name"
    )
    user: str = Field(description="the name of the user whose it is")
    scope: Scope = Field(description="what it may do of what its user may")
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = Field(default=None, description="exact to a minute")
    last_used_from: str | None = Field(default=None, description="the address of the client that used it last")


class NewTokenView(TokenView):
    """A token that was just created."""

    token: str = Field(description="the token itself, which cannot be shown again")


class MeView(View):
    """Who sends a request."""

    user: UserView
    token: TokenView
    projects: list[str] = Field(description="the names of the projects that the user sees")


class AuditView(View):
    """An action of a user, as the audit log keeps it."""

    SHOWN = ("at", "user", "action", "target")

    id: int
    at: datetime
    user: str = Field(description="the name of the user who did it; `operator`: by a command on the database")
    user_id: str | None = Field(description="null: by a command on the database")
    token_id: str | None
    address: str | None = Field(description="the address of the client")
    action: str = Field(description="what was done, as in `job.cancel`: before the dot stands the kind of the target")
    target: str = Field(description="the id of what it was done to")
    data: dict[str, Any] = Field(description="what else matters of it")
