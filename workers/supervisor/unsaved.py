"""Keeps the files of an attempt that could not be stored, for people to find, for as long as they are of use."""

import errno
import logging
import shutil
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from fitqueue.states import JobState
from service.db import Database
from service.store import jobs
from workers.shared.paths import attempt_of, fetched_dir
from workers.shared.protocol import FileReport, encode

LIST: Final = "not_stored.jsonl"
KEPT_WITHOUT_JOB: Final = timedelta(days=7)
"""A job that the database does not know may be of a database that is about to be restored."""

_logger = logging.getLogger(__name__)


def move(
    directory: Path, unsaved_dir: Path, pending: Sequence[FileReport], *, replace_earlier: bool = False
) -> Path | None:
    """Move the directory of an attempt, without what was fetched for it; return where it is now.

    A list of the pending files is put beside them, with the names that users know. If the move fails, log why and
    return None.

    Args:
        replace_earlier: whether to delete what earlier attempts of the job left here. A job that waits for room must
            not take up more of it with each attempt.
    """
    attempt = attempt_of(directory)
    assert attempt is not None
    target = unsaved_dir.absolute() / attempt.job_id / str(attempt.attempt)
    try:
        shutil.rmtree(fetched_dir(directory), ignore_errors=True)
        (directory / LIST).write_bytes(b"".join(map(encode, pending)))
        target.parent.mkdir(parents=True, exist_ok=True)
        if replace_earlier:
            for earlier in target.parent.iterdir():
                shutil.rmtree(earlier, ignore_errors=True)
        _rename_or_copy(directory, target)
    except OSError as error:
        _logger.error("The files that were not stored could not be moved.", extra={"error": str(error)})
        return None
    return target


def sweep(database: Database, unsaved_dir: Path) -> None:
    """Delete the files of jobs that have succeeded since, in an attempt that wrote them again, and of deleted jobs."""
    folders = [path for path in unsaved_dir.glob("*") if path.is_dir()]
    with database.read() as session:
        states = jobs.states(session, [folder.name for folder in folders])
    for folder in folders:
        state = states.get(folder.name)
        if state is JobState.SUCCEEDED or (state is None and _age(folder) > KEPT_WITHOUT_JOB):
            _logger.info("Removed files that had not been stored.", extra={"job": folder.name})
            shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> timedelta:
    try:
        return timedelta(seconds=time.time() - folder.stat().st_mtime)
    except FileNotFoundError:  # another worker of this machine has deleted it
        return timedelta(0)


def _rename_or_copy(directory: Path, target: Path) -> None:
    """Rename, or copy if the target is on another volume; the caller removes the original."""
    try:
        directory.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        incomplete = target.with_name(f"{target.name}.new")
        shutil.copytree(directory, incomplete, symlinks=True)
        incomplete.rename(target)
