"""`python -m workers.doctor.smoke_test`: start a fork server as a worker does, fork a child, and sum over the devices.

It is a process of its own, as small as a worker and with a worker's environment. It prints two lines of JSON: one when
the child has sent its first message, one when the child has ended. If the fork server is broken, it prints only the
first.
"""

import sys
import time
from typing import Final

from pydantic import BaseModel

from fitqueue.states import Reason
from workers.shared.protocol import Ended, PhaseChanged, Start
from workers.supervisor.child import Child
from workers.supervisor.child_output import LogLines
from workers.supervisor.fork_server import ForkServer, ForkServerBroken

CHILD: Final = "workers.trainer.smoke_test"


class Devices(BaseModel):
    """The devices to sum over: these GPUs, or this many logical CPUs."""

    gpus: list[str]
    cpu_devices: int


class StepResult(BaseModel):
    """The result of one step, with a detail for people."""

    ok: bool
    detail: str


def main() -> None:
    devices = Devices.model_validate_json(sys.argv[1])
    fork_server, began = ForkServer(CHILD), time.perf_counter()
    try:
        fork_server.start()
    except ForkServerBroken as error:
        _print_result(ok=False, detail=str(error))
        return
    started = time.perf_counter()
    with fork_server.spawn() as child:
        _run(child, devices, began, started)


def _run(child: Child, devices: Devices, began: float, started: float) -> None:
    child.send(Start(job_id="smoke_test", attempt=1, spec={}, dataset_path=None, work_dir="", threads=1,
                     gpus=devices.gpus, cpu_devices=devices.cpu_devices))  # fmt: skip
    ended, lines = None, []
    for output in child.outputs(poll=1.0):
        match output:
            case PhaseChanged():
                waited = time.perf_counter() - started
                detail = f"ready after {started - began:.1f} s; a child sent a message {waited:.2f} s after its fork"
                _print_result(ok=True, detail=detail)
            case Ended():
                ended = output
            case LogLines():
                lines = output.lines
    if ended is None:
        _print_result(ok=False, detail=f"the child exited with code {child.exit_code}: {' '.join(lines[-3:])}")
        return
    _print_result(ok=ended.reason is Reason.COMPLETED, detail=ended.message)


def _print_result(*, ok: bool, detail: str) -> None:
    sys.stdout.write(StepResult(ok=ok, detail=detail).model_dump_json() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
