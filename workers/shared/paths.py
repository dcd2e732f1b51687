"""Where things lie on a worker's disk. Only plain file names of our own making; nothing here comes from a job."""

from pathlib import Path
from typing import Final, NamedTuple

WRITING_PREFIX: Final = "writing-"


class Attempt(NamedTuple):
    job_id: str
    attempt: int


def attempt_dir(work_dir: Path, job_id: str, attempt: int) -> Path:
    """The directory in which one attempt at a job may write."""
    return work_dir / f"{job_id}.{attempt}"


def fetched_dir(directory: Path) -> Path:
    """In the directory of an attempt: what was fetched for it, and is stored elsewhere."""
    return directory / "fetched"


def attempt_of(directory: Path) -> Attempt | None:
    """The attempt that a directory belongs to; None if it is no work directory."""
    job_id, dot, attempt = directory.name.rpartition(".")
    return Attempt(job_id, int(attempt)) if job_id and dot and attempt.isdecimal() else None
