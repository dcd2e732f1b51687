"""Training processes whose worker is gone. They end themselves, unless they are frozen: then they are ended."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

_NOTE: Final = "process"
_NAMESPACE: Final = Path("/proc/self/ns/pid")


def note(directory: Path, pid: int) -> None:
    """Leave a note in the work directory of an attempt about which process trains there."""
    began = _began(pid)
    if began is not None:
        (directory / _NOTE).write_text(f"{pid} {began}")


def end_all(directory: Path) -> list[int]:
    """End the processes that notes below the directory of a lost worker tell of; their numbers."""
    noted = [_read(note) for note in directory.glob(f"*/{_NOTE}")]
    alive = [pid for pid, began in filter(None, noted) if _began(pid) == began]
    for pid in alive:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return alive


def _read(note: Path) -> tuple[int, str] | None:
    with suppress(OSError, ValueError):
        pid, began = note.read_text().split()
        return int(pid), began
    return None


def _began(pid: int) -> str | None:
    """When the process was started, as the kernel counts, and where: its number alone may be another's by now.

    Workers in containers that were started together start children of the same number at the same moment.
    """
    with suppress(OSError, IndexError):
        # The name of the program, in parentheses, may hold anything.
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{ticks}@{_NAMESPACE.readlink()}"
    return None
