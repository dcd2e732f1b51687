"""Real children of a real fork server: what they have, what they do not have, and that they always end."""

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

from fitqueue.reports import Position
from fitqueue.states import Reason
from service import environment
from workers.shared.protocol import Ended, Progress, Start, Stop
from workers.supervisor import fork_server as fork_server_module
from workers.supervisor.child import Child, ChildNotReading
from workers.supervisor.child_output import LogLines
from workers.supervisor.fork_server import ForkServer, ForkServerBroken

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[3]
START = Start(job_id="j", attempt=1, spec={}, dataset_path=None, work_dir="", gpus=[], cpu_devices=1, threads=0)
SECONDS = 120.0


@pytest.fixture
def fork_server_for(fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ForkServer]:
    """Return a function that returns the fork server for children that run a module in `children`."""
    monkeypatch.syspath_prepend(HERE / "children")
    return ForkServer


@pytest.fixture
def description(fork_server_for: Callable[[str], ForkServer]) -> dict[str, Any]:
    """Return what a child says about its process."""
    with fork_server_for("describes_itself").spawn() as child:
        lines = [line for event in child.outputs(1.0) if isinstance(event, LogLines) for line in event.lines]
    assert child.exit_code == 7
    assert "native output" in lines
    lines.remove("native output")
    return json.loads(lines[0])


def test_a_child_has_keras_and_no_modules_of_the_worker(description: dict[str, Any]) -> None:
    assert description["modules"] == ["tensorflow", "keras"]


def test_a_child_has_no_secrets(description: dict[str, Any]) -> None:
    assert not [name for name in description["environment"] if name.startswith("FITQUEUE")]
    assert description["environment"]["KERAS_BACKEND"] == "tensorflow"


def test_the_kernel_kills_a_child_before_its_worker(fork_server_for: Callable[[str], ForkServer]) -> None:
    with fork_server_for("reads_its_score").spawn() as child:
        child.send(START)
        assert list(child.outputs(SECONDS))[-1] == Ended(reason=Reason.COMPLETED, message="1000")
    assert int(Path("/proc/self/oom_score_adj").read_text()) < 1000


def test_a_child_ignores_ctrl_c(description: dict[str, Any]) -> None:
    assert description["ignores_sigint"]


def test_a_worker_does_not_import_tensorflow_or_keras() -> None:
    modules = _modules_after("import workers.supervisor.worker")
    assert {"celery", "sqlalchemy"} <= modules
    assert not {"tensorflow", "keras", "numpy", "h5py"} & modules


def test_the_main_module_of_a_worker_imports_only_its_own_package() -> None:
    """multiprocessing may import it again in a child."""
    assert not {"celery", "sqlalchemy", "service", "redis", "pydantic"} & _modules_after("import workers.__main__")


def test_many_threads_read_the_right_exit_codes(fork_server_for: Callable[[str], ForkServer]) -> None:
    fork_server = fork_server_for("describes_itself")

    def exit_code(_: int) -> int | None:
        with fork_server.spawn() as child:
            wait_for_end(child)
        return child.exit_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(exit_code, range(80))) == {7}


def test_no_file_descriptor_stays_open(fork_server_for: Callable[[str], ForkServer]) -> None:
    fork_server = fork_server_for("describes_itself")

    def count_descriptors_after_a_child() -> int:
        with fork_server.spawn() as child:
            wait_for_end(child)
        return len(list(Path("/proc/self/fd").iterdir()))

    first = count_descriptors_after_a_child()
    assert {count_descriptors_after_a_child() for _ in range(10)} == {first}


def test_a_child_is_killed_at_the_end_of_its_context(fork_server_for: Callable[[str], ForkServer]) -> None:
    with fork_server_for("sends_progress").spawn() as child:
        child.send(START)
        assert next(child.outputs(1.0)) == Progress(position=Position(0, 1), steps=2)
    assert child.exit_code == -signal.SIGKILL


def test_sending_to_a_child_that_does_not_read_times_out(fork_server_for: Callable[[str], ForkServer]) -> None:
    long_message = START.model_copy(update={"spec": {"long": "x" * 1_000_000}})
    with fork_server_for("sends_progress").spawn() as child:
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(ChildNotReading):
            child.send(long_message, timeout=0.05)


def test_a_long_message_arrives_completely(fork_server_for: Callable[[str], ForkServer]) -> None:
    with fork_server_for("sends_progress").spawn() as child:
        child.send(START.model_copy(update={"spec": {"long": "x" * 5_000_000}}))
        assert isinstance(next(child.outputs(SECONDS)), Progress)


def test_sending_to_a_child_that_has_ended_does_nothing(fork_server_for: Callable[[str], ForkServer]) -> None:
    with fork_server_for("describes_itself").spawn() as child:
        psutil.wait_procs([psutil.Process(child.pid)], SECONDS)
        child.send(Stop(cause="cancel"))
        wait_for_end(child)
        child.signal(signal.SIGKILL)


def test_child_and_fork_server_exit_when_their_worker_is_killed() -> None:
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


def test_children_survive_the_fork_server_and_a_new_one_is_started(
    fork_server_for: Callable[[str], ForkServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.for_children(os.environ).items():
        monkeypatch.setenv(name, value)
    fork_server = fork_server_for("sends_progress")
    with fork_server.spawn() as child:
        child.send(START)
        events = child.outputs(1.0)
        next(events)
        parent = psutil.Process(child.pid).parent()
        assert parent is not None
        parent.kill()
        os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
        child.send(Stop(cause="cancel"))
        *_, last = events
    assert isinstance(last, Ended)
    assert child.exit_code is None
    with fork_server.spawn() as another:
        another.send(START)
        assert isinstance(next(another.outputs(60.0)), Progress)


def test_a_fork_server_that_fails_its_probe_is_broken(
    fork_server_for: Callable[[str], ForkServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server_module, "FORK_PROBE", "no_such_module")
    with pytest.raises(ForkServerBroken):
        fork_server_for("sends_progress").start()


def wait_for_end(child: Child) -> None:
    for _ in child.outputs(1.0):
        pass


def _modules_after(statement: str) -> set[str]:
    """Return the modules that a new process has imported after a statement."""
    completed = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return set(completed.stdout.split())


def test_a_restarted_fork_server_is_probed_before_it_gets_a_job(
    fork_server_for: Callable[[str], ForkServer],
) -> None:
    """multiprocessing does not report a failed import: each child would import TensorFlow again, or die of it."""
    fork_server = fork_server_for("describes_itself")
    pid = fork_server._ensure_running()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # leaves the zombie to multiprocessing
    fork_server._context.set_forkserver_preload(["no_such_module"])
    with pytest.raises(ForkServerBroken, match="has not preloaded the trainer"):
        fork_server.spawn()
    fork_server._context.set_forkserver_preload([fork_server_module.PRELOAD])
    with fork_server.spawn() as child:
        assert [event for event in child.outputs(1.0) if isinstance(event, LogLines)]
    assert child.exit_code == 7
