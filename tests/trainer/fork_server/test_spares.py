"""Spares: real children that warm up, wait for one job, and never outlive their worker."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fitqueue.spec import parse_job
from tests import waiting
from tests.small_job import small_job
from workers.shared.protocol import Devices, Ended, Start
from workers.supervisor import orphans
from workers.supervisor.child import Child
from workers.supervisor.fork_server import ForkServer
from workers.supervisor.spares import SpareChildren

SECONDS = 300.0
DEVICES = Devices(gpus=[], cpu_devices=1, threads=1)


@pytest.fixture
def spares(fork_server: ForkServer, tmp_path: Path) -> Iterator[SpareChildren]:
    spares = SpareChildren(fork_server, DEVICES, tmp_path)
    yield spares
    spares.close()


@pytest.fixture
def warm(spares: SpareChildren) -> SpareChildren:
    """Two spares that are warm."""
    for _ in range(2):
        spares.keep_ready(lambda: 2)
    waiting.until(lambda: count_warm(spares) == 2, SECONDS, "the spares to be warm")
    return spares


def count_warm(spares: SpareChildren) -> int:
    spares.keep_ready(lambda: 0)
    return sum(spare.is_warm for spare in spares._spares)


def pids(spares: SpareChildren) -> list[int]:
    return [spare.child.pid for spare in spares._spares]


def start_in(folder: Path, devices: Devices) -> Start:
    spec = parse_job(small_job(1), lambda _: None).spec.to_json()
    folder.mkdir()
    return Start(
        job_id="j",
        attempt=1,
        spec=spec,
        dataset_path=None,
        work_dir=str(folder),
        **devices.model_dump(exclude={"type"}),
    )


def run(child: Child, start: Start) -> Any:
    with child:
        child.send(start)
        *_, last = (output for output in child.outputs(1.0) if output is not None)
    return last


def test_each_spare_trains_one_job_and_no_more_are_made_than_slots_are_idle(
    warm: SpareChildren, tmp_path: Path
) -> None:
    warm.keep_ready(lambda: 2)
    known = pids(warm)
    assert len(known) == 2
    for number in range(3):
        child = warm.spawn(DEVICES)
        assert (child.pid in known) == (number < 2)
        last = run(child, start_in(tmp_path / f"job_{number}.1", DEVICES))
        assert isinstance(last, Ended)
        assert last.reason == "completed"
    assert pids(warm) == []


@pytest.mark.parametrize(
    "devices", [{"cpu_devices": 2}, {"threads": 2}, {"gpus": ["GPU-1"]}], ids=["processors", "threads", "GPUs"]
)
def test_a_job_on_other_devices_gets_a_fresh_child(devices: dict[str, Any], warm: SpareChildren) -> None:
    with warm.spawn(DEVICES.model_copy(update=devices)) as child:
        assert child.pid not in pids(warm)
    assert len(pids(warm)) == 2


def test_a_spare_that_has_died_is_dropped_and_replaced(warm: SpareChildren) -> None:
    dead, alive = map(psutil.Process, pids(warm))
    dead.kill()
    waiting.until(lambda: len(pids(warm)) == 1 or count_warm(warm) == 1, SECONDS, "the dead spare to be dropped")
    assert pids(warm) == [alive.pid]
    warm.keep_ready(lambda: 2)
    assert len(pids(warm)) == 2


def test_a_closed_worker_has_no_spares_and_makes_none(warm: SpareChildren, tmp_path: Path) -> None:
    processes = [psutil.Process(pid) for pid in pids(warm)]
    warm.close()
    assert psutil.wait_procs(processes, SECONDS)[1] == []
    warm.keep_ready(lambda: 2)
    assert pids(warm) == []
    assert list(tmp_path.glob("spare-*")) == []


def test_a_frozen_spare_of_a_dead_worker_is_killed_as_an_orphan(warm: SpareChildren, tmp_path: Path) -> None:
    processes = [psutil.Process(pid) for pid in pids(warm)]
    processes[0].send_signal(signal.SIGSTOP)
    assert sorted(orphans.kill_all(tmp_path)) == sorted(process.pid for process in processes)
    assert psutil.wait_procs(processes, SECONDS)[1] == []


def test_a_spare_exits_when_its_pipe_is_closed(warm: SpareChildren) -> None:
    [first, second] = warm._spares
    first.child._control.close()
    psutil.Process(first.child.pid).wait(SECONDS)
    assert psutil.pid_exists(second.child.pid)


def test_the_log_of_a_job_has_nothing_of_the_warm_up(warm: SpareChildren) -> None:
    for spare in warm._spares:
        readable: Callable[[], bool] = spare.child._stderr.poll
        assert not readable()
        assert not spare.child._stdout.poll()
