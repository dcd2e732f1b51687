import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from service.store.gpus import FOREIGN_BYTES, MeasuredGPU, VisibleGPU
from workers.supervisor.devices import GPU, NVML, parse_quota, processors


class FakeError(Exception):
    pass


class FakeNotSupported(FakeError):
    pass


class FakeLibrary(ModuleType):
    """The part of NVIDIA's library that we call. `gpus`: UUID and memory in use (or an error); None: a broken GPU."""

    NVMLError = FakeError
    NVMLError_NotSupported = FakeNotSupported
    nvmlMemory_v2 = 0x02000028
    TOTAL = 80 * FOREIGN_BYTES

    def __init__(self, gpus: "list[tuple[str, int | Exception] | None]") -> None:
        super().__init__("pynvml")
        self.gpus = gpus
        self.opened = 0
        self.is_broken = False
        self.utilization_fault: Exception | None = None

    def nvmlInit(self) -> None:
        self._raise_if_broken()
        self.opened += 1

    def nvmlDeviceGetCount(self) -> int:
        self._raise_if_broken()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> "tuple[str, int | Exception]":
        gpu = self.gpus[index]
        if gpu is None:
            raise FakeError("GPU is lost")
        return gpu

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> "tuple[str, int | Exception]":
        for gpu in self.gpus:
            if gpu is not None and gpu[0] == uuid:
                return gpu
        if not uuid.startswith("MIG-1"):
            raise FakeError("Not Found")
        return (uuid, 0)

    def nvmlDeviceGetUUID(self, handle: tuple[str, int]) -> str:
        return handle[0]

    def nvmlDeviceGetName(self, handle: tuple[str, int]) -> str:
        return "H100"

    def nvmlDeviceGetMemoryInfo(self, handle: "tuple[str, int | Exception]", version: int) -> SimpleNamespace:
        assert version == self.nvmlMemory_v2
        if isinstance(handle[1], Exception):
            raise handle[1]
        return SimpleNamespace(used=handle[1], total=self.TOTAL)

    def nvmlDeviceGetUtilizationRates(self, handle: "tuple[str, int | Exception]") -> SimpleNamespace:
        if self.utilization_fault is not None:
            raise self.utilization_fault
        return SimpleNamespace(gpu=97, memory=40)

    def _raise_if_broken(self) -> None:
        if self.is_broken:
            raise FakeError("Unknown Error")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    library = FakeLibrary([("GPU-a", 0), ("GPU-b", 5 * FOREIGN_BYTES)])
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return library


def test_gpus_are_listed_as_they_are_now(library: FakeLibrary) -> None:
    nvml = NVML()
    total = library.TOTAL
    first, second = nvml.list_gpus()
    assert first == GPU("GPU-a", "H100", 0, total, 97)
    assert second == GPU("GPU-b", "H100", 5 * FOREIGN_BYTES, total, 97)
    library.gpus[1] = ("GPU-b", 7)
    assert nvml.list_gpus()[1] == GPU("GPU-b", "H100", 7, total, 97)
    assert library.opened == 1, "opening it takes long"


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        (None, ["GPU-a", "GPU-b", "GPU-bc"]),
        ("1", ["GPU-b"]),
        ("2, 0", ["GPU-bc", "GPU-a"]),
        ("1,1", ["GPU-b"]),
        ("GPU-a,GPU-bc", ["GPU-a", "GPU-bc"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["GPU-a"]),  # as in CUDA, whatever is behind an entry without a GPU is hidden
        ("NoDevFiles", []),
        ("0,7", ["GPU-a"]),
        ("7,0", []),
        ("GPU-b", []),  # two begin with it
        ("GPU-x,GPU-a", []),
        ("MIG-1/2/0,MIG-2", ["MIG-1/2/0"]),
        ("99999999999999999999", []),
    ],
)
def test_the_operator_may_hide_gpus_as_in_cuda(library: FakeLibrary, visible: str | None, uuids: list[str]) -> None:
    library.gpus.append(("GPU-bc", 0))
    assert [gpu.uuid for gpu in NVML(visible).list_gpus()] == uuids


def test_a_broken_gpu_keeps_the_indices_of_the_others(library: FakeLibrary) -> None:
    library.gpus.insert(0, None)
    assert [gpu.uuid for gpu in NVML("2").list_gpus()] == ["GPU-b"]
    assert [gpu.uuid for gpu in NVML("0,1").list_gpus()] == ["GPU-a"]


def test_a_broken_gpu_does_not_hide_the_others(library: FakeLibrary) -> None:
    library.gpus.insert(0, None)
    assert [gpu.uuid for gpu in NVML().list_gpus()] == ["GPU-a", "GPU-b"]


def test_a_gpu_without_its_own_memory_counts_as_unused(library: FakeLibrary) -> None:
    library.gpus[0] = ("GPU-a", FakeNotSupported("Not Supported"))
    gpu = NVML().list_gpus()[0]
    assert (gpu.used_bytes, gpu.to_visible().is_used) == (0, False)
    assert gpu.to_measured() == MeasuredGPU("GPU-a", "H100", 97, memory_used_bytes=None, memory_total_bytes=None)


def test_the_use_of_a_gpu_is_measured(library: FakeLibrary) -> None:
    measured = NVML().list_gpus()[1].to_measured()
    assert measured == MeasuredGPU("GPU-b", "H100", 97, 5 * FOREIGN_BYTES, library.TOTAL)


@pytest.mark.parametrize("fault", [FakeNotSupported("Not Supported"), FakeError("Unknown Error"), OSError("no symbol")])
def test_a_gpu_whose_utilization_nobody_knows_can_be_used(library: FakeLibrary, fault: Exception) -> None:
    library.utilization_fault = fault
    gpus = NVML().list_gpus()
    assert [(gpu.uuid, gpu.utilization_percent, gpu.used_bytes) for gpu in gpus] == [
        ("GPU-a", None, 0),
        ("GPU-b", None, 5 * FOREIGN_BYTES),
    ]


def test_a_broken_driver_lists_no_gpu_until_it_works_again(library: FakeLibrary) -> None:
    nvml = NVML()
    assert len(nvml.list_gpus()) == 2
    library.is_broken = True
    assert nvml.list_gpus() == []
    library.is_broken = False
    assert len(nvml.list_gpus()) == 2
    assert library.opened == 2


def test_without_the_library_the_list_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert NVML().list_gpus() == []


@pytest.mark.parametrize(("used", "is_used"), [(0, False), (FOREIGN_BYTES, False), (FOREIGN_BYTES + 1, True)])
def test_a_gpu_with_much_memory_in_use_is_not_claimed(used: int, is_used: bool) -> None:
    assert GPU("GPU-a", "H100", used).to_visible() == VisibleGPU("GPU-a", is_used=is_used)


@pytest.mark.parametrize(
    ("cpu_max", "allowed"), [("max 100000", None), ("400000 100000", 4), ("150000 100000", 1), ("50000 100000", 0)]
)
def test_the_quota_of_a_container_is_parsed(cpu_max: str, allowed: int | None) -> None:
    assert parse_quota(cpu_max) == allowed


def test_there_is_a_processor() -> None:
    assert 1 <= processors() <= len(os.sched_getaffinity(0))


def test_the_memory_in_use_is_that_of_the_fullest_of_a_jobs_gpus(library: FakeLibrary) -> None:
    nvml = NVML()
    assert nvml.used_bytes(["GPU-a"]) is None, "the library is not open"
    nvml.list_gpus()
    library.gpus = [("GPU-a", 7), ("GPU-b", 9), ("GPU-c", 11), ("GPU-d", FakeNotSupported())]
    assert nvml.used_bytes(["GPU-a", "GPU-b"]) == 9
    assert nvml.used_bytes(["GPU-b", "GPU-d"]) is None, "one has no memory of its own"
    assert nvml.used_bytes(["GPU-x"]) is None
    assert nvml.used_bytes([]) is None
