"""The devices of this machine: its GPUs, and the processors that this process may use."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

from service.store.gpus import VisibleGPU

_logger = logging.getLogger(__name__)

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")

FOREIGN_BYTES: Final = 1024**3
"""A GPU with more memory in use is not claimed: a program that computes takes more, a desktop less."""


@dataclass(frozen=True)
class GPU:
    """A GPU as the driver describes it now."""

    uuid: str
    name: str
    used_bytes: int
    """Memory in use, by any program."""

    def to_visible(self) -> VisibleGPU:
        """Return what a claim needs to know."""
        return VisibleGPU(self.uuid, is_used=self.used_bytes > FOREIGN_BYTES)


ListGPUs = Callable[[], list[GPU]]
"""Returns the GPUs that the machine has at this moment. Thread-safe. A worker needs nothing else from a driver."""


class NVML:
    """NVIDIA's management library. `list_gpus` is a `ListGPUs`.

    We do not ask TensorFlow, because that would load it into the worker and take memory on each device. The library
    stays open, because opening it can take a second per GPU while no other program uses the driver.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_open = False

    def list_gpus(self) -> list[GPU]:
        """Return the GPUs: none if the library is not installed or finds no driver. The next call tries again."""
        try:
            import pynvml  # type: ignore[import-not-found] # only where the extra `gpu` is installed
        except ImportError:
            return []
        with self._lock:
            try:
                return self._list(pynvml)
            except pynvml.NVMLError as error:
                if self._is_open:
                    _logger.warning("The GPUs cannot be listed any more.", extra={"error": str(error)})
                self._is_open = False
                return []

    def _list(self, pynvml: Any) -> list[GPU]:
        if not self._is_open:
            pynvml.nvmlInit()
            self._is_open = True
        gpus = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                gpus.append(_gpu(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index)))
            except pynvml.NVMLError as error:  # this one is broken, the others are not
                _logger.warning("A GPU cannot be used.", extra={"index": index, "error": str(error)})
        return gpus


def _gpu(pynvml: Any, handle: Any) -> GPU:
    try:
        # Version 1 counts what the driver keeps for itself too, half a GiB per GPU.
        used = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used
    except pynvml.NVMLError_NotSupported:  # this GPU has no memory of its own
        used = 0
    return GPU(pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle), used)


def processors() -> int:
    """Return how many processors this process may use, given its affinity and the quota of its container."""
    allowed = len(os.sched_getaffinity(0))
    quota = parse_quota(_QUOTA.read_text()) if _QUOTA.is_file() else None
    return allowed if quota is None else max(1, min(allowed, quota))


def parse_quota(cpu_max: str) -> int | None:
    """Return how many whole processors a cgroup's `cpu.max`, such as `150000 100000`, allows; None: no limit."""
    quota, period = cpu_max.split()
    return None if quota == "max" else int(quota) // int(period)
