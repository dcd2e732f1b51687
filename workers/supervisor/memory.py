"""The memory of this machine: how much of it a job may take, and how much the process of a job takes."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
_LIMIT_FILES: Final = ("memory.max", "memory/memory.limit_in_bytes")
"""The files of cgroup version 2 and 1 with the limit of a container."""
_PRIVATE: Final = ("RssAnon:", "RssShmem:")
"""What a process takes for itself in /proc/PID/status. Files that it has mapped can be dropped at any time."""


def job_bytes(bound: int | None) -> int:
    """Return how many bytes a job may take on this worker."""
    available = machine_bytes()
    return available if bound is None else min(bound, available)


def machine_bytes(cgroups: Path = _CGROUPS) -> int:
    """Return the memory of this container, or of the machine if that is less or there is no container."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_read_limit(cgroups / name) for name in _LIMIT_FILES]
    return min([physical, *(limit for limit in limits if limit is not None)])


def _read_limit(path: Path) -> int | None:
    try:
        content = path.read_text().strip()
    except OSError:  # the other version of cgroups, or none
        return None
    return int(content) if content.isdigit() else None


class MemoryGuard:
    """Notices that a child takes more memory than its job may."""

    def __init__(self, pid: int, bound: int | None) -> None:
        """Watch a child that was just forked: what it shares with the fork server does not count.

        Args:
            bound: in bytes; None: there is none.
        """
        self._pid = pid
        self.bound = bound
        self._shared = private_bytes(pid) or 0
        self.exceeded = False
        """Whether the child was seen with more than the bound."""

    def check(self) -> bool:
        """Return whether the child takes more than its job may."""
        if self.bound is not None and not self.exceeded:
            taken = private_bytes(self._pid)
            self.exceeded = taken is not None and taken - self._shared > self.bound
        return self.exceeded


def private_bytes(pid: int) -> int | None:
    """Return the memory of a process without its files; None if it has ended."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        values = [int(line.split()[1]) for line in lines if line.startswith(_PRIVATE)]
        return sum(values) * 1024 if values else None
    return None
