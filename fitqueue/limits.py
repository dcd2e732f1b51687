"""What users and projects may have at the most, and what they have now."""

from collections.abc import Iterable
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from fitqueue.spec.parsing.job import Seconds
from fitqueue.view import View

MIN_REQUESTS_PER_MINUTE: Final = 120
"""What two pages of running jobs ask for: no limit may lock a user out of the pages."""

Count = Annotated[int, Field(ge=0, le=2**53)]


class Limits(View):
    """The limits of a user or a project. None: there is no such limit."""

    model_config = ConfigDict(frozen=True, strict=True)

    running_jobs: Count | None = Field(default=None, description="jobs that run at the same time")
    gpus: Count | None = Field(default=None, description="GPUs that jobs hold at the same time")
    queued_jobs: Count | None = Field(default=None, description="jobs that wait for a worker")
    stored_bytes: Count | None = Field(
        default=None, description="bytes of checkpoints, snapshots, artifacts and data sets"
    )
    runtime_seconds: Seconds | None = Field(default=None, description="the longest `max_runtime_seconds` of a job")


class UserLimits(Limits):
    """The limits of a user. None: there is no such limit."""

    requests_per_minute: int | None = Field(
        default=None, ge=MIN_REQUESTS_PER_MINUTE, le=1_000_000, description="requests to one API in a minute"
    )


class ChangedLimits(Limits):
    """A merge patch of the limits of a project: null removes one."""

    model_config = ConfigDict(extra="forbid")


class ChangedUserLimits(UserLimits):
    """A merge patch of the limits of a user: null removes one."""

    model_config = ConfigDict(extra="forbid")


class Holdings(View):
    """What a user or a project has now."""

    running_jobs: int = 0
    gpus: int = Field(default=0, description="GPUs that its jobs hold")
    queued_jobs: int = 0
    stored_bytes: int = Field(
        default=0, description="bytes of checkpoints, snapshots, artifacts and data sets; a file counts once"
    )


def merged(stored: dict[str, Any] | None, patch: Limits | None) -> dict[str, Any] | None:
    """Return limits after a merge patch, as they are stored: without those that there are not; None: none at all."""
    if patch is None:
        return None
    after = {**(stored or {}), **patch.model_dump(exclude_unset=True)}
    return {name: limit for name, limit in after.items() if limit is not None} or None


def smallest(limits: Iterable[int | None]) -> int | None:
    """Return the smallest of some limits; None if there is none."""
    return min((limit for limit in limits if limit is not None), default=None)
