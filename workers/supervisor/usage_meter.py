"""Measures what a training process uses: processor time, and memory of the machine and of its GPUs.

The kernel counts all of it, so a sample reads two small files and asks the driver. Processes that the child has started
count when it has waited for them.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from service.store.usage import MeasuredUse
from workers.shared.protocol import ResourcesUsed

ReadGPUMemory = Callable[[Sequence[str]], int | None]
"""Returns the bytes in use on the fullest of these GPUs, named by UUID; None if that is not known. Thread-safe."""

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PEAK: Final = "VmHWM:"

# Fields of /proc/PID/stat, counted from 0 behind the name of the program.
_CPU_TIMES: Final = slice(11, 15)
_STARTED_AT: Final = 19


class ProcessTimes(NamedTuple):
    """When a process started, in ticks since the machine did, and how long it has computed since."""

    started_at: int
    cpu_seconds: float


class UsageMeter:
    """What one child has used. Thread-safe."""

    def __init__(self, pid: int, gpus: Sequence[str], read_gpu_memory: ReadGPUMemory) -> None:
        """Begin to measure. What a spare child used before it got its job does not count as its job's."""
        self._pid = pid
        self._gpus = gpus
        self._read_gpu_memory = read_gpu_memory
        self._start = process_times(pid)
        self._used = MeasuredUse()
        self._lock = Lock()

    @property
    def used(self) -> MeasuredUse:
        """What was measured up to the last sample."""
        return self._used

    def sample(self) -> MeasuredUse:
        """Measure, and return what the child has used so far. After its end nothing changes any more."""
        peak = peak_memory_bytes(self._pid)
        times = process_times(self._pid)
        # Another process may have got the number of a child that has ended.
        if self._start is not None and times is not None and times.started_at == self._start.started_at:
            self._note(times.cpu_seconds, peak or 0, self._gpu_memory())
        return self._used

    def note_report(self, report: ResourcesUsed) -> None:
        """Note what the child says of itself when it is about to end: these figures are exact."""
        self._note(report.cpu_seconds, report.peak_memory_bytes, self._gpu_memory())

    def _gpu_memory(self) -> int:
        return (self._read_gpu_memory(self._gpus) or 0) if self._gpus else 0

    def _note(self, cpu_seconds: float, peak_memory: int, gpu_memory: int) -> None:
        before = self._start.cpu_seconds if self._start is not None else 0.0
        with self._lock:
            self._used = MeasuredUse(
                max(self._used.cpu_seconds, cpu_seconds - before),
                max(self._used.peak_memory_bytes, peak_memory),
                max(self._used.peak_gpu_memory_bytes, gpu_memory),
            )


def process_times(pid: int) -> ProcessTimes | None:
    """Return the times of a process, with those of its children that it has waited for; None if it has ended."""
    with suppress(OSError):
        # The name may contain spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return ProcessTimes(int(fields[_STARTED_AT]), sum(map(int, fields[_CPU_TIMES])) / _TICKS_PER_SECOND)
    return None


def peak_memory_bytes(pid: int) -> int | None:
    """Return the most memory that a process had resident at one time; None if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(_PEAK):
                return int(line.split()[1]) * 1024
    return None
