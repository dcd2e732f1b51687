"""The JSON bodies about what a job uses. `fitqueue.views` has all others."""

from pydantic import BaseModel, Field


class Use(BaseModel):
    """What one attempt, or all attempts together, used."""

    seconds: float = Field(description="how long it had a worker")
    gpu_seconds: float = Field(description="how long it held its GPUs: a second with two GPUs is two GPU-seconds")
    cpu_seconds: float = Field(description="how long its processors computed for it: a second on two cores is two")
    peak_memory_bytes: int | None = Field(
        description="the most memory that the training process had at one time; null where it was not measured"
    )
    peak_gpu_memory_bytes: int | None = Field(
        description="the most memory that was in use on one of its GPUs; null without GPUs or where it was not measured"
    )


class OwnerUsage(BaseModel):
    """What the jobs of a user, or of a project, have used until now, those included that are deleted."""

    name: str = Field(description="of the user or project")
    gpu_seconds: float
    cpu_seconds: float
    stored_bytes: int = Field(description="how large their files are now, the data sets included")
    jobs: int = Field(description="how many were submitted")


class StoredBytes(BaseModel):
    """How large the files of a job are that are stored now. A file with several names counts once."""

    checkpoints: int
    snapshots: int
    artifacts: int
    total: int


class JobUsage(BaseModel):
    """What a job has used until now."""

    attempt: int = Field(description="the number of the running or last attempt; 0 before the first one")
    last_attempt: Use
    all_attempts: Use = Field(description="sums, and the highest of the peaks")
    stored_bytes: StoredBytes
