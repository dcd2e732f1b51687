"""How long a project keeps what its ended jobs have left."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MAX_DAYS: Final = 36_500

Days = Annotated[int, Field(ge=1, le=MAX_DAYS)]


class KeptCheckpoints(StrEnum):
    """Which checkpoints of an ended job are kept."""

    ALL = "all"
    BEST_AND_LAST = "best_and_last"


class Removable(StrEnum):
    """What of an ended job the retention of its project may remove."""

    LOGS = "logs"
    EVENTS = "events"
    SNAPSHOTS = "snapshots"
    OTHER_CHECKPOINTS = "other_checkpoints"
    CHECKPOINTS = "checkpoints"
    ARTIFACTS = "artifacts"


NAMES: Final = {
    Removable.LOGS: "log",
    Removable.EVENTS: "events",
    Removable.SNAPSHOTS: "snapshots",
    Removable.OTHER_CHECKPOINTS: "checkpoints other than best and last",
    Removable.CHECKPOINTS: "checkpoints",
    Removable.ARTIFACTS: "artifacts",
}
"""What people call it."""

OTHER_CHECKPOINTS_DAYS: Final = 1
"""How long checkpoints other than the best and the last stay after the end, where only these two are kept: whoever
follows the job can still fetch them."""


class Retention(BaseModel):
    """How many days a project keeps what its ended jobs have left; null: for ever. The days count from a job's end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    logs_days: Days | None = Field(default=None, description="what the training printed")
    events_days: Days | None = Field(default=None, description="what happened to the job")
    snapshots_days: Days | None = Field(
        default=30, description="what a training resumes from; without it, the job cannot be extended"
    )
    checkpoints_days: Days | None = Field(default=None, description="the weights, the best and the last included")
    artifacts_days: Days | None = Field(default=None, description="the files of callbacks, other than weights")
    keep_checkpoints: KeptCheckpoints = Field(
        default=KeptCheckpoints.ALL,
        description="`best_and_last`: of the checkpoints, only those that the service names stay, a day after the end",
    )

    def days(self, what: Removable) -> int | None:
        """Return how many days after the end of a job this is kept; None: for ever."""
        if what is not Removable.OTHER_CHECKPOINTS:
            days: int | None = getattr(self, f"{what}_days")
            return days
        return OTHER_CHECKPOINTS_DAYS if self.keep_checkpoints is KeptCheckpoints.BEST_AND_LAST else None

    def ages(self) -> dict[Removable, timedelta]:
        """Return the age, since the end of its job, from which each thing is removed. What is kept is not in it."""
        days = {what: self.days(what) for what in Removable}
        return {what: timedelta(days=count) for what, count in days.items() if count is not None}
