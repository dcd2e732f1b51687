"""What training a job needs of the worker that it runs on."""

from dataclasses import dataclass
from pathlib import Path
from threading import Event

from service.dataset_cache import DatasetCache
from service.db import Database
from service.forecast.turns import TurnsBy
from service.job_limits import DEFAULT_LIMITS, JobLimits
from service.storage import WORKER_RETRY_TIMEOUT, Storage
from workers.shared.protocol import Devices
from workers.supervisor.child import Child
from workers.supervisor.fork_server import ForkServer
from workers.supervisor.spares import SpareChildren
from workers.supervisor.usage_meter import ReadGPUMemory


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for a training process and its files, in seconds."""

    first_message: float = 60.0
    """A child sends its first message within milliseconds. One that does not was forked from a damaged fork server."""
    term: float = 5.0
    """From the message `stop` to SIGTERM."""
    kill: float = 7.0
    """From the message `stop` to SIGKILL. A GPU must be free ten seconds after a user asked for it, and a container
    gets ten seconds when it is stopped."""
    silence: float = 1800.0
    """Between two messages or lines of a child."""
    hang: float = 1800.0
    """Between two iterations of a supervisor's loop; after that its lease is not renewed any more."""
    outage: float = WORKER_RETRY_TIMEOUT.total_seconds()
    """For storing a file while the disk is full or the storage is down, before the job leaves the worker to wait."""
    storage: float = 300.0
    """For an answer of the storage: a chunk of a file, or a file that is stored. More than `outage`, because a bucket
    tries that long again by itself."""
    uploads: float = 40.0
    """For the files that are not stored yet when the worker shuts down. Together with the end of the child, this is
    less than the minute that our containers get."""


@dataclass(frozen=True)
class WorkerContext:
    """The parts of a worker that all its jobs share."""

    database: Database
    storage: Storage
    datasets: DatasetCache
    fork_server: ForkServer
    work_dir: Path
    unsaved_dir: Path
    """The folder for files that could not be stored."""
    lease_seconds: float
    cpu_devices: int
    threads: int
    snapshot_seconds: float
    stopping: Event
    """Set when the worker shuts down."""
    job_memory_bytes: int | None = None
    """The most memory that a job may take."""
    timeouts: Timeouts = Timeouts()
    limits: JobLimits = DEFAULT_LIMITS
    spares: SpareChildren | None = None
    read_gpu_memory: ReadGPUMemory = lambda _: None
    turns_by: TurnsBy = TurnsBy.USER

    def spawn(self, devices: Devices) -> Child:
        """Return a child that computes on these devices.

        Raises:
            ForkServerBroken: no child can be started.
        """
        return self.fork_server.spawn() if self.spares is None else self.spares.spawn(devices)
