"""Children that the fork server forks train on the GPU, also after one of them was killed."""

import signal
import tempfile
import time
from typing import Any

from benchmarks.gpu_trial.observations import gpu_mib, job_without_xla, observe
from fitqueue.reports import EpochEnded
from fitqueue.spec import parse_job
from workers.shared.protocol import Ended, PhaseChanged, Start
from workers.supervisor.child import Child
from workers.supervisor.child_output import LogLines
from workers.supervisor.fork_server import ForkServer


def try_children(gpus: list[str]) -> None:
    """Train in one child after the other, and observe the memory that they leave on the GPU."""
    began = time.perf_counter()
    fork_server = ForkServer()
    fork_server.start()
    observe("the fork server is ready", seconds=round(time.perf_counter() - began, 2), gpu_mib=gpu_mib())
    for number in (1, 2):
        _run_child(fork_server, gpus, f"child {number}")
    _run_child(fork_server, gpus, "child to kill", kill=True)
    _run_child(fork_server, gpus, "child after the killed one")
    _run_child(fork_server, [], "child on the CPU")


def _run_child(fork_server: ForkServer, gpus: list[str], name: str, *, kill: bool = False) -> None:
    job = job_without_xla(3, len(gpus)) | {"callbacks": []}
    spec = parse_job(job, lambda _: None).spec.to_json()
    with tempfile.TemporaryDirectory() as folder, fork_server.spawn() as child:
        child.send(
            Start(job_id="job", attempt=1, spec=spec, dataset_path=None, work_dir=folder, gpus=gpus, cpu_devices=1,
                  threads=0)
        )  # fmt: skip
        seconds, lines = _follow(child, kill=kill)
    observe(f"{name} exited", exit_code=child.exit_code, seconds=seconds)
    if child.exit_code and not kill:
        observe(f"the last lines of {name}", lines=lines[-15:])
    _wait_until_memory_is_free()
    observe(f"GPU memory after {name}", gpu_mib=gpu_mib())


def _follow(child: Child, *, kill: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the seconds after which each phase began and each epoch ended, and the lines that the child printed."""
    began = time.perf_counter()
    seconds: dict[str, Any] = {}
    lines: list[str] = []
    for output in child.outputs(poll=1.0):
        now = round(time.perf_counter() - began, 3)
        match output:
            case PhaseChanged():
                seconds[str(output.phase)] = now
            case EpochEnded():
                seconds[f"epoch {output.epoch}"] = now
                observe(f"GPU memory in epoch {output.epoch}", gpu_mib=gpu_mib())
                if kill:
                    child.signal(signal.SIGKILL)
            case Ended():
                seconds["ended"] = now
                observe("the child ended", reason=str(output.reason), message=output.message[:500])
            case LogLines():
                lines += output.lines
    return seconds, lines


def _wait_until_memory_is_free() -> None:
    """Wait up to two seconds, because the driver frees the memory of a dead process a little later."""
    for _ in range(20):
        if gpu_mib() < 100:
            return
        time.sleep(0.1)
