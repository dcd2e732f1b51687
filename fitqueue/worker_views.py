"""What the API answers about workers."""

from datetime import datetime

from pydantic import Field

from fitqueue.view import View


class GPUUse(View):
    """How much of a GPU is used, by any program. What its driver does not say is null."""

    uuid: str
    name: str
    utilization_percent: int | None = Field(
        default=None, description="how much of the time a program computed on it, in about the last second"
    )
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    measured_at: datetime = Field(description="the time of the heartbeat that told it")


class WorkerView(View):
    """A worker: a process that trains jobs on one machine."""

    SHOWN = ("id", "host", "alive", "slots", "devices", "jobs")

    id: str
    host: str
    pools: list[str]
    slots: int = Field(description="how many jobs it can train at once")
    devices: list[str] = Field(description="names of its devices, for people")
    gpus: list[str] = Field(description="UUIDs of the GPUs that it sees; all workers on a machine see the same ones")
    gpus_held: list[str] = Field(description="UUIDs of the GPUs that its jobs hold")
    gpus_held_by: dict[str, str] = Field(
        default_factory=dict,
        description="the id of the job that holds a GPU, by UUID: for the GPUs that it sees, whichever worker trains "
        "the job, and for those that its jobs hold",
    )
    gpu_use: list[GPUUse] = Field(
        default_factory=list, description="how much of its GPUs is used, measured with its last heartbeat"
    )
    versions: dict[str, str] = Field(
        default_factory=dict,
        description="the versions of `fitqueue`, `python`, `tensorflow` and `keras`; what it does not know is left out",
    )
    memory_bytes: int | None = Field(
        default=None, description="what a job may take of its machine's memory; null if it does not say"
    )
    jobs: list[str] = Field(description="ids of the jobs that it is training")
    alive: bool
    draining_since: datetime | None = Field(
        default=None, description="since when it claims no job, because a user drains it or it shuts down; else null"
    )
    drains_until: datetime | None = Field(
        default=None,
        description="when a draining worker requeues the jobs that it still trains; null: it trains them to their end",
    )
    started_at: datetime
    last_seen_at: datetime
