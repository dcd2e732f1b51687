"""Keeps the secrets of this process from other processes of the same user: trainings and model checks.

`/proc/PID/environ` shows the memory in which a process got its environment, whatever it has removed since. And as long
as the kernel allows it, a process may read all memory of another one of the same user.
"""

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

from service.environment import is_allowed

_STAT: Final = Path("/proc/self/stat")
# Of <linux/prctl.h>, and the fields of `stat` after the name of the program, which may contain spaces.
_SET_DUMPABLE: Final = 4
_ENVIRONMENT_START: Final = 47
_ENVIRONMENT_END: Final = 48


def hide_secrets() -> None:
    """Overwrite the secrets in the environment that others see, and keep others from reading this process's memory.

    `os.environ` stays as it is. Children that are forked inherit both, programs that are started do not. Only Linux has
    this.
    """
    if sys.platform == "linux":
        _overwrite_initial_environment()
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def _overwrite_initial_environment() -> None:
    for name, value in os.environ.items():
        os.environ[name] = value
    fields = _STAT.read_text().rpartition(")")[2].split()
    start, end = int(fields[_ENVIRONMENT_START]), int(fields[_ENVIRONMENT_END])
    position = start
    for entry in ctypes.string_at(start, end - start).split(b"\0"):
        if not is_allowed(os.fsdecode(entry.partition(b"=")[0])):
            ctypes.memset(position, 0, len(entry))
        position += len(entry) + 1
