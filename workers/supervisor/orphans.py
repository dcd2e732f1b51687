"""Kills training processes whose worker is gone. They exit by themselves, unless they are frozen."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

_NOTE: Final = "process"
_NAMESPACE: Final = Path("/proc/self/ns/pid")


def note(directory: Path, pid: int) -> None:
    """Write into the work directory of an attempt which process trains there."""
    identity = _identity(pid)
    if identity is not None:
        (directory / _NOTE).write_text(f"{pid} {identity}")


def kill_all(directory: Path) -> list[int]:
    """Kill the processes that are noted below the directory of a dead worker; return their pids."""
    noted = [_read(path) for path in directory.glob(f"*/{_NOTE}")]
    alive = [pid for pid, identity in filter(None, noted) if _identity(pid) == identity]
    for pid in alive:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return alive


def _read(path: Path) -> tuple[int, str] | None:
    with suppress(OSError, ValueError):
        pid, identity = path.read_text().split()
        return int(pid), identity
    return None


def _identity(pid: int) -> str | None:
    """Return when the process was started, in the kernel's ticks, and its pid namespace; None if it is gone.

    The pid alone may belong to another process by now, and containers that were started together have processes with
    the same pid and start time.
    """
    with suppress(OSError, IndexError):
        # The name of the program, in parentheses, may contain anything.
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{ticks}@{_NAMESPACE.readlink()}"
    return None
