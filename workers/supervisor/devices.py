"""The devices of this machine: its GPUs, and the processors that this process may use."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

from service.store.gpus import FOREIGN_BYTES, MeasuredGPU, VisibleGPU

_logger = logging.getLogger(__name__)

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")

_MIG: Final = "MIG-"
_GPU: Final = "GPU-"


@dataclass(frozen=True)
class GPU:
    """A GPU as the driver describes it now."""

    uuid: str
    name: str
    used_bytes: int
    """Memory in use, by any program."""
    total_bytes: int | None = None
    """Its memory; None if it has none of its own."""
    utilization_percent: int | None = None
    """How much of the last moment it computed, for any program; None if the driver does not say."""

    def to_measured(self) -> MeasuredGPU:
        """Return what people want to see of its use."""
        used = self.used_bytes if self.total_bytes is not None else None
        return MeasuredGPU(self.uuid, self.name, self.utilization_percent, used, self.total_bytes)

    def to_visible(self) -> VisibleGPU:
        """Return what a claim needs to know."""
        return VisibleGPU(self.uuid, is_used=self.used_bytes > FOREIGN_BYTES)


ListGPUs = Callable[[], list[GPU]]
"""Returns the GPUs that the machine has at this moment. Thread-safe."""


class NVML:
    """NVIDIA's management library. `list_gpus` is a `ListGPUs`.

    We do not ask TensorFlow, because that would load it into the worker and take memory on each device. The library
    stays open, because opening it can take a second per GPU while no other program uses the driver.
    """

    def __init__(self, visible: str | None = None) -> None:
        """Prepare to list GPUs.

        Args:
            visible: the value of CUDA_VISIBLE_DEVICES, which says which GPUs to list; None: all. As in CUDA, the first
                entry that names none hides those behind it, so `-1` and an empty value hide all.
        """
        self._visible = None if visible is None else [entry.strip() for entry in visible.split(",")]
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

    def used_bytes(self, uuids: Sequence[str]) -> int | None:
        """Return the memory in use on the fullest of these GPUs; None if the driver does not say. A `ReadGPUMemory`.

        This is asked every few seconds for each running job, so it does not list all GPUs.
        """
        with self._lock:
            if not self._is_open:  # jobs get GPUs only after they were listed
                return None
            try:
                import pynvml

                handles = map(pynvml.nvmlDeviceGetHandleByUUID, uuids)
                infos = [pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2) for handle in handles]
            except Exception as error:  # whatever it is, the job trains on
                _logger.debug("The memory in use on GPUs is not known.", extra={"gpus": uuids, "error": str(error)})
                return None
        return max((info.used for info in infos), default=None)

    def _list(self, pynvml: Any) -> list[GPU]:
        if not self._is_open:
            pynvml.nvmlInit()
            self._is_open = True
        gpus = [_read(pynvml, pynvml.nvmlDeviceGetHandleByIndex, i) for i in range(pynvml.nvmlDeviceGetCount())]
        if self._visible is not None:
            gpus = [gpu for named in _named(pynvml, self._visible, gpus) for gpu in named]
        return list({gpu.uuid: gpu for gpu in gpus if gpu is not None}.values())


def _named(pynvml: Any, visible: Sequence[str], gpus: Sequence[GPU | None]) -> Iterator[Sequence[GPU | None]]:
    """Yield what each entry of CUDA_VISIBLE_DEVICES names, until one names nothing. None stands for a broken GPU."""
    for name in visible:
        if name.isdecimal():
            named = gpus[int(name) :][:1]
        elif name.startswith(_MIG):
            named = [_read(pynvml, pynvml.nvmlDeviceGetHandleByUUID, name)]
        else:
            named = [gpu for gpu in gpus if gpu and name.startswith(_GPU) and gpu.uuid.startswith(name)]
        if len(named) != 1:
            return
        yield named


def _read(pynvml: Any, get_handle: Callable[[Any], Any], name: int | str) -> GPU | None:
    """Return the GPU with this index or UUID; None if it is broken: the others are not."""
    try:
        return _gpu(pynvml, get_handle(name))
    except pynvml.NVMLError as error:
        _logger.warning("A GPU cannot be used.", extra={"gpu": name, "error": str(error)})
        return None


def _gpu(pynvml: Any, handle: Any) -> GPU:
    try:
        # Version 1 counts what the driver keeps for itself too, half a GiB per GPU.
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
        used, total = memory.used, memory.total
    except pynvml.NVMLError_NotSupported:  # this GPU has no memory of its own
        used, total = 0, None
    uuid, name = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle)
    return GPU(uuid, name, used, total, _utilization(pynvml, handle))


def _utilization(pynvml: Any, handle: Any) -> int | None:
    """Return how much of the last moment a GPU computed; None if the driver does not say, as for parts of a GPU."""
    try:
        return int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except Exception as error:  # whatever it is, jobs can train on the GPU, and the worker is alive
        _logger.debug("The utilization of a GPU is not known.", extra={"error": str(error)})
        return None


def processors() -> int:
    """Return how many processors this process may use, given its affinity and the quota of its container."""
    allowed = len(os.sched_getaffinity(0))
    quota = parse_quota(_QUOTA.read_text()) if _QUOTA.is_file() else None
    return allowed if quota is None else max(1, min(allowed, quota))


def parse_quota(cpu_max: str) -> int | None:
    """Return how many whole processors a cgroup's `cpu.max`, such as `150000 100000`, allows; None: no limit."""
    quota, period = cpu_max.split()
    return None if quota == "max" else int(quota) // int(period)
