"""Real children of a real nursery: what they get, what they do not get, and how surely they end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from service import environment
from workers.shared.protocol import Ended, Progress, Start, Stop
from workers.supervisor import fork_server as fork_server_module
from workers.supervisor.fork_server import ChildNotReading, ForkServer, ForkServerBroken, LogLines

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[3]
START = Start(job_id="j", attempt=1, spec={}, dataset_path=None, work_dir="", gpus=[], cpu_devices=1, threads=0)
SECONDS = 20.0


@pytest.fixture
def fork_server_of(fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ForkServer]:
    """The nursery, for children that run this module."""
    monkeypatch.syspath_prepend(HERE / "children")
    return ForkServer


@pytest.fixture
def told(fork_server_of: Callable[[str], ForkServer]) -> dict[str, Any]:
    with fork_server_of("tells_of_itself").spawn() as child:
        lines = [line for event in child.events(1.0) if isinstance(event, LogLines) for line in event.lines]
    assert child.exit_code == 7
    assert "native words" in lines
    lines.remove("native words")
    return json.loads(lines[0])


def test_a_child_has_keras_and_nothing_of_the_worker(told: dict[str, Any]) -> None:
    assert told["modules"] == ["tensorflow", "keras"]


def test_a_child_has_no_secrets(monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]) -> None:
    assert not [name for name in told["environment"] if name.startswith("FITQUEUE")]
    assert told["environment"]["KERAS_BACKEND"] == "tensorflow"


def test_ctrl_c_is_not_for_the_child(told: dict[str, Any]) -> None:
    assert told["sigint"]


def test_the_worker_has_neither_tensorflow_nor_keras() -> None:
    found = _modules_after("import workers.supervisor.worker")
    assert {"celery", "sqlalchemy"} <= found
    assert not {"tensorflow", "keras", "numpy", "h5py"} & found


def test_the_workers_main_module_imports_nothing_that_is_not_its_own() -> None:
    """multiprocessing may run it again in a child."""
    assert not {"celery", "sqlalchemy", "service", "redis", "pydantic"} & _modules_after("import workers.__main__")


def test_many_threads_read_the_true_exit_codes(fork_server_of: Callable[[str], ForkServer]) -> None:
    fork_server = fork_server_of("tells_of_itself")

    def exit_code(_: int) -> int | None:
        with fork_server.spawn() as child:
            for _ in child.events(1.0):
                pass
        return child.exit_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(exit_code, range(80))) == {7}


def test_no_descriptor_stays_open(fork_server_of: Callable[[str], ForkServer]) -> None:
    fork_server = fork_server_of("tells_of_itself")

    def run() -> int:
        with fork_server.spawn() as child:
            for _ in child.events(1.0):
                pass
        return len(list(Path("/proc/self/fd").iterdir()))

    first = run()
    assert {run() for _ in range(10)} == {first}


def test_a_child_that_nobody_listens_to_any_more_is_killed(fork_server_of: Callable[[str], ForkServer]) -> None:
    with fork_server_of("talks_on").spawn() as child:
        child.send(START)
        assert next(child.events(1.0)) == Progress(epoch=1, step=1, steps=2)
    assert child.exit_code == -signal.SIGKILL


def test_a_child_that_does_not_read_is_not_waited_for(
    fork_server_of: Callable[[str], ForkServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server_module, "_SEND_TIMEOUT", 0.05)
    long = START.model_copy(update={"spec": {"long": "x" * 1_000_000}})
    with fork_server_of("talks_on").spawn() as child:
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(ChildNotReading):
            child.send(long)


def test_a_long_job_arrives_whole(fork_server_of: Callable[[str], ForkServer]) -> None:
    with fork_server_of("talks_on").spawn() as child:
        child.send(START.model_copy(update={"spec": {"long": "x" * 5_000_000}}))
        assert isinstance(next(child.events(SECONDS)), Progress)


def test_telling_a_child_that_is_gone_is_no_error(fork_server_of: Callable[[str], ForkServer]) -> None:
    with fork_server_of("tells_of_itself").spawn() as child:
        psutil.wait_procs([psutil.Process(child.pid)], SECONDS)
        child.send(Stop(why="cancel"))
        for _ in child.events(1.0):
            pass
        child.signal(signal.SIGKILL)


def test_child_and_nursery_go_when_their_worker_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, str(HERE / "worker_to_kill.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as worker:  # fmt: skip
        assert worker.stdout is not None
        child = psutil.Process(int(worker.stdout.readline()))
        fork_server = child.parent()
        assert fork_server is not None
        worker.kill()
        _, alive = psutil.wait_procs([child, fork_server], SECONDS)
        assert alive == []


def test_children_outlive_the_nursery_and_a_new_one_takes_its_place(
    fork_server_of: Callable[[str], ForkServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.for_children(os.environ).items():
        monkeypatch.setenv(name, value)
    fork_server = fork_server_of("talks_on")
    with fork_server.spawn() as child:
        child.send(START)
        events = child.events(1.0)
        next(events)
        parent = psutil.Process(child.pid).parent()
        assert parent is not None
        parent.kill()
        os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
        child.send(Stop(why="cancel"))
        *_, last = events
    assert isinstance(last, Ended)
    assert child.exit_code is None
    with fork_server.spawn() as another:
        another.send(START)
        assert isinstance(next(another.events(60.0)), Progress)


def test_an_unsound_nursery_is_found(
    fork_server_of: Callable[[str], ForkServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server_module, "FORK_PROBE", "no_such_module")
    with pytest.raises(ForkServerBroken):
        fork_server_of("talks_on").open()


def _modules_after(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return set(done.stdout.split())


def test_no_job_is_given_to_a_nursery_that_was_started_anew_and_is_not_sound(
    fork_server_of: Callable[[str], ForkServer],
) -> None:
    """multiprocessing says nothing where an import in it fails: each child would import TensorFlow, or die of it."""
    fork_server = fork_server_of("tells_of_itself")
    pid = fork_server._running()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # the zombie is left to multiprocessing
    fork_server._context.set_forkserver_preload(["no_such_module"])
    with pytest.raises(ForkServerBroken, match="has not preloaded the trainer"):
        fork_server.spawn()
    fork_server._context.set_forkserver_preload([fork_server_module.PRELOAD])
    with fork_server.spawn() as child:
        assert [event for event in child.events(1.0) if isinstance(event, LogLines)]
    assert child.exit_code == 7
