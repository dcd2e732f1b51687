"""The paths on a worker's disk. All names are our own; nothing in them comes from a job."""

from pathlib import Path
from typing import Final, NamedTuple

WRITING_PREFIX: Final = "writing-"
"""Begins the name of a file that is not complete yet."""


class Attempt(NamedTuple):
    """Which attempt at which job."""

    job_id: str
    attempt: int


def attempt_dir(work_dir: Path, job_id: str, attempt: int) -> Path:
    """Return the directory in which one attempt may write."""
    return work_dir / f"{job_id}.{attempt}"


def fetched_dir(directory: Path) -> Path:
    """Return the folder, in the directory of an attempt, for files that were fetched and are stored elsewhere."""
    return directory / "fetched"


def attempt_of(directory: Path) -> Attempt | None:
    """Return the attempt that a directory belongs to; None if it is not the directory of an attempt."""
    job_id, dot, attempt = directory.name.rpartition(".")
    return Attempt(job_id, int(attempt)) if job_id and dot and attempt.isdecimal() else None
