import os

import pytest

from workers.devices import GPU, GPUs, processors, share_of


def test_a_gpu_is_lent_to_one_job_at_a_time() -> None:
    gpus = GPUs([GPU("a", "H100"), GPU("b", "H100"), GPU("c", "H100")])
    with gpus.lend(2) as first, gpus.lend(1) as second:
        assert sorted(first + second) == ["a", "b", "c"]
        assert gpus.free == 0
        with pytest.raises(ValueError, match="1 GPUs are wanted and 0 are free"), gpus.lend(1):
            pass
    assert gpus.free == 3


def test_a_gpu_comes_back_from_a_job_that_failed() -> None:
    gpus = GPUs([GPU("a", "H100")])
    with pytest.raises(RuntimeError), gpus.lend(1):
        raise RuntimeError
    assert gpus.free == 1


def test_a_job_without_gpus_needs_none() -> None:
    with GPUs([]).lend(0) as lent:
        assert lent == []


@pytest.mark.parametrize(
    ("cpu_max", "share"), [("max 100000", None), ("400000 100000", 4), ("150000 100000", 1), ("50000 100000", 0)]
)
def test_a_containers_share_is_read(cpu_max: str, share: int | None) -> None:
    assert share_of(cpu_max) == share


def test_there_is_a_processor() -> None:
    assert 1 <= processors() <= len(os.sched_getaffinity(0))
