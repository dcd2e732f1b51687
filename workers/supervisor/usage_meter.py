"""Measures what a training process uses: processor time, and memory of the machine and of its GPUs.

The kernel counts all of it, so a sample reads two small files and asks the driver, which takes about a tenth of a
millisecond. Processes that the child has started count when it has waited for them.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from service.store.usage import MeasuredUse
from workers.shared.protocol import ResourcesUsed

ReadGPUMemory = Callable[[Sequence[str]], int | None]
"""Returns the bytes in use on the fullest of these GPUs, named by UUID; None if that is not known. Thread-safe."""

SAMPLE_SECONDS: Final = 1.0

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
    """What one child has used. One thread measures, and any thread may read `used`."""

    def __init__(self, pid: int, gpus: Sequence[str], read_gpu_memory: ReadGPUMemory) -> None:
        """Begin to measure. What a spare child used before it got its job does not count as its job's."""
        self._pid = pid
        self._gpus = gpus
        self._read_gpu_memory = read_gpu_memory
        self._start = process_times(pid)
        self._next_sample_at = time.monotonic() + SAMPLE_SECONDS
        self.used = MeasuredUse()
        """What was measured up to the last sample."""

    def sample_if_due(self) -> None:
        """Measure, unless the last sample was less than a second ago."""
        now = time.monotonic()
        if now >= self._next_sample_at:
            self._next_sample_at = now + SAMPLE_SECONDS
            self.sample()

    def sample(self) -> None:
        """Measure what the child has used so far. After its end nothing changes any more."""
        peak = peak_memory_bytes(self._pid)
        times = process_times(self._pid)
        # Another process may have got the number of a child that has ended.
        if self._start is not None and times is not None and times.started_at == self._start.started_at:
            self._note(times.cpu_seconds, peak or 0, self._gpu_memory())

    def note_report(self, report: ResourcesUsed) -> None:
        """Note what the child says of itself when it is about to end: these figures are exact."""
        self._note(report.cpu_seconds, report.peak_memory_bytes, self._gpu_memory())

    def _gpu_memory(self) -> int:
        return (self._read_gpu_memory(self._gpus) or 0) if self._gpus else 0

    def _note(self, cpu_seconds: float, peak_memory: int, gpu_memory: int) -> None:
        before = self._start.cpu_seconds if self._start is not None else 0.0
        self.used = MeasuredUse(
            max(self.used.cpu_seconds, cpu_seconds - before),
            max(self.used.peak_memory_bytes, peak_memory),
            max(self.used.peak_gpu_memory_bytes, gpu_memory),
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
