"""What this machine trains on: its GPUs, and the processors that this process may use."""

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
"""With more of its memory in use a GPU is claimed by nobody: a program that computes takes more, a desktop less."""


@dataclass(frozen=True)
class GPU:
    uuid: str
    name: str
    used_bytes: int
    """Of its memory, by whomever."""

    def seen(self) -> VisibleGPU:
        return VisibleGPU(self.uuid, is_used=self.used_bytes > FOREIGN_BYTES)


ListGPUs = Callable[[], list[GPU]]
"""All that a worker needs of a driver: the GPUs of the machine at this moment, from any thread."""


class NVML:
    """NVIDIA's management library. `list_gpus` is a `ListGPUs`.

    Not TensorFlow: to ask it would load it into the worker and take memory on each device. The library is kept open,
    since to open it can take a second a GPU where nobody else holds the driver.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_open = False

    def list_gpus(self) -> list[GPU]:
        """None where the library is not installed, or finds no driver; the next call tries it anew."""
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
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                found.append(_gpu(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index)))
            except pynvml.NVMLError as error:  # of one that is broken; the others are not
                _logger.warning("A GPU cannot be used.", extra={"index": index, "error": str(error)})
        return found


def _gpu(pynvml: Any, handle: Any) -> GPU:
    try:
        # Version 2 tells what programs use; in the first, what the driver keeps for itself is in it, half a GiB a GPU.
        used = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used
    except pynvml.NVMLError_NotSupported:  # where the GPU has no memory of its own
        used = 0
    return GPU(pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle), used)


def processors() -> int:
    """How many processors this process may keep busy: by its affinity, and by its container's share."""
    allowed = len(os.sched_getaffinity(0))
    share = share_of(_QUOTA.read_text()) if _QUOTA.is_file() else None
    return allowed if share is None else max(1, min(allowed, share))


def share_of(cpu_max: str) -> int | None:
    """Whole processors of a cgroup's `cpu.max`, such as `150000 100000`; None where there is no limit."""
    quota, period = cpu_max.split()
    return None if quota == "max" else int(quota) // int(period)
