"""Keeps the files of an attempt that could not be stored, for people to find."""

import errno
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from workers.shared.paths import attempt_of, fetched_dir
from workers.shared.protocol import FileReport, encode

LIST: Final = "not_stored.jsonl"

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
