"""What this machine trains on: its GPUs, and the processors that this process may use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class GPU:
    uuid: str
    name: str


class GPUs:
    """The GPUs of this worker, each lent to one job at a time. Thread-safe."""

    def __init__(self, found: list[GPU]) -> None:
        self.found = tuple(found)
        self._free = [gpu.uuid for gpu in found]
        self._lock = Lock()

    @property
    def free(self) -> int:
        return len(self._free)

    @contextmanager
    def lend(self, count: int) -> Iterator[list[str]]:
        """The UUIDs of `count` free GPUs, for as long as the block lasts.

        Raises:
            ValueError: fewer are free.
        """
        with self._lock:
            if count > len(self._free):
                raise ValueError(f"{count} GPUs are wanted and {len(self._free)} are free")
            lent, self._free = self._free[:count], self._free[count:]
        try:
            yield lent
        finally:
            with self._lock:
                self._free.extend(lent)


def find_gpus() -> list[GPU]:
    """The GPUs that NVIDIA's management library shows; none where it is not installed or finds no driver.

    Not by TensorFlow: to ask it would load it into the worker and claim memory on each device.
    """
    try:
        import pynvml  # type: ignore[import-not-found] # only where the extra `gpu` is installed
    except ImportError:
        return []
    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            return [GPU(pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle)) for handle in handles]
        finally:
            pynvml.nvmlShutdown()
    return []


def processors() -> int:
    """How many processors this process may keep busy: by its affinity, and by its container's share."""
    allowed = len(os.sched_getaffinity(0))
    share = share_of(_QUOTA.read_text()) if _QUOTA.is_file() else None
    return allowed if share is None else max(1, min(allowed, share))


def share_of(cpu_max: str) -> int | None:
    """Whole processors of a cgroup's `cpu.max`, such as `150000 100000`; None where there is no limit."""
    quota, period = cpu_max.split()
    return None if quota == "max" else int(quota) // int(period)
