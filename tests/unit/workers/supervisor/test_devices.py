import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from service.store.gpus import VisibleGPU
from workers.supervisor.devices import FOREIGN_BYTES, GPU, NVML, processors, share_of


class FakeError(Exception):
    pass


class FakeNotSupported(FakeError):
    pass


class FakeLibrary(ModuleType):
    """NVIDIA's library as far as it is called, on a machine of which `gpus` tells what is known of each GPU."""

    NVMLError = FakeError
    NVMLError_NotSupported = FakeNotSupported
    nvmlMemory_v2 = 0x02000028

    def __init__(self, gpus: "list[tuple[str, int | Exception] | None]") -> None:
        super().__init__("pynvml")
        self.gpus = gpus
        self.opened = 0
        self.is_broken = False

    def nvmlInit(self) -> None:
        self._check()
        self.opened += 1

    def nvmlDeviceGetCount(self) -> int:
        self._check()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> "tuple[str, int | Exception]":
        found = self.gpus[index]
        if found is None:
            raise FakeError("GPU is lost")
        return found

    def nvmlDeviceGetUUID(self, handle: tuple[str, int]) -> str:
        return handle[0]

    def nvmlDeviceGetName(self, handle: tuple[str, int]) -> str:
        return "H100"

    def nvmlDeviceGetMemoryInfo(self, handle: "tuple[str, int | Exception]", version: int) -> SimpleNamespace:
        assert version == self.nvmlMemory_v2
        if isinstance(handle[1], Exception):
            raise handle[1]
        return SimpleNamespace(used=handle[1])

    def _check(self) -> None:
        if self.is_broken:
            raise FakeError("Unknown Error")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    library = FakeLibrary([("GPU-a", 0), ("GPU-b", 5 * FOREIGN_BYTES)])
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return library


def test_gpus_are_listed_as_they_are_now(library: FakeLibrary) -> None:
    nvml = NVML()
    assert nvml.list_gpus() == [GPU("GPU-a", "H100", 0), GPU("GPU-b", "H100", 5 * FOREIGN_BYTES)]
    library.gpus[1] = ("GPU-b", 7)
    assert nvml.list_gpus()[1] == GPU("GPU-b", "H100", 7)
    assert library.opened == 1, "to open it takes long"


def test_a_gpu_that_is_lost_hides_no_other(library: FakeLibrary) -> None:
    library.gpus.insert(0, None)
    assert [gpu.uuid for gpu in NVML().list_gpus()] == ["GPU-a", "GPU-b"]


def test_a_gpu_without_memory_of_its_own_is_used_by_nobody(library: FakeLibrary) -> None:
    library.gpus[0] = ("GPU-a", FakeNotSupported("Not Supported"))
    assert NVML().list_gpus()[0].used_bytes == 0


def test_a_driver_that_fails_shows_none_until_it_is_back(library: FakeLibrary) -> None:
    nvml = NVML()
    assert len(nvml.list_gpus()) == 2
    library.is_broken = True
    assert nvml.list_gpus() == []
    library.is_broken = False
    assert len(nvml.list_gpus()) == 2
    assert library.opened == 2


def test_without_the_library_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert NVML().list_gpus() == []


@pytest.mark.parametrize(("used", "is_used"), [(0, False), (FOREIGN_BYTES, False), (FOREIGN_BYTES + 1, True)])
def test_a_gpu_is_used_whose_memory_is(used: int, is_used: bool) -> None:
    assert GPU("GPU-a", "H100", used).seen() == VisibleGPU("GPU-a", is_used=is_used)


@pytest.mark.parametrize(
    ("cpu_max", "share"), [("max 100000", None), ("400000 100000", 4), ("150000 100000", 1), ("50000 100000", 0)]
)
def test_a_containers_share_is_read(cpu_max: str, share: int | None) -> None:
    assert share_of(cpu_max) == share


def test_there_is_a_processor() -> None:
    assert 1 <= processors() <= len(os.sched_getaffinity(0))
