"""What a training left on this machine because it could not be stored: for people, and not cleaned up after them."""

import errno
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from workers.shared.paths import attempt_of, fetched_dir
from workers.shared.protocol import Message, encode

LIST: Final = "not_stored.jsonl"

_logger = logging.getLogger(__name__)


def keep(directory: Path, kept: Path, pending: Sequence[Message]) -> Path | None:
    """Moves the directory of an attempt, without what was fetched for it; where it is now, None where that failed.

    Beside its files lies a list of those that were announced and not stored, with what users call them.
    """
    attempt = attempt_of(directory)
    assert attempt is not None
    target = kept.absolute() / attempt.job_id / str(attempt.attempt)
    try:
        shutil.rmtree(fetched_dir(directory), ignore_errors=True)
        (directory / LIST).write_bytes(b"".join(map(encode, pending)))
        target.parent.mkdir(parents=True, exist_ok=True)
        _move(directory, target)
    except OSError as error:
        _logger.error("What was not stored could not be kept.", extra={"error": str(error)})
        return None
    return target


def _move(directory: Path, target: Path) -> None:
    """Also onto a volume that is mounted at `kept` alone: then the original stays, for its owner to remove."""
    try:
        directory.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f"{target.name}.new")
        shutil.copytree(directory, beside, symlinks=True)
        beside.rename(target)
