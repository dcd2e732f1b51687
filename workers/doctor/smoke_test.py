"""`python -m workers.doctor.smoke_test`: start a nursery as a worker does, fork one child, and have it sum over the devices.

A process of its own, as slim as a worker's, with a worker's environment. It says two lines of JSON: one when the child
has spoken, one when it has ended; the first alone where the nursery is broken.
"""

import sys
import time
from typing import Final

from pydantic import BaseModel

from fitqueue.states import Reason
from workers.shared.protocol import Ended, PhaseChanged, Start
from workers.supervisor.fork_server import Child, ForkServer, ForkServerBroken, LogLines

CHILD: Final = "workers.trainer.smoke_test"


class Devices(BaseModel):
    """What to sum over: these GPUs, or so many logical CPUs."""

    gpus: list[str]
    cpu_devices: int


class Said(BaseModel):
    ok: bool
    words: str


def main() -> None:
    devices = Devices.model_validate_json(sys.argv[1])
    fork_server, began = ForkServer(CHILD), time.perf_counter()
    try:
        fork_server.open()
    except ForkServerBroken as error:
        _say(ok=False, words=str(error))
        return
    opened = time.perf_counter()
    with fork_server.spawn() as child:
        _listen(child, devices, began, opened)


def _listen(child: Child, devices: Devices, began: float, opened: float) -> None:
    child.send(Start(job_id="smoke_test", attempt=1, spec={}, dataset_path=None, work_dir="", threads=1,
                     gpus=devices.gpus, cpu_devices=devices.cpu_devices))  # fmt: skip
    ended, lines = None, []
    for event in child.events(poll=1.0):
        match event:
            case PhaseChanged():
                spoke = time.perf_counter() - opened
                _say(ok=True, words=f"ready after {opened - began:.1f} s; a child spoke {spoke:.2f} s after its fork")
            case Ended():
                ended = event
            case LogLines():
                lines = event.lines
    if ended is None:
        _say(ok=False, words=f"the child left with exit code {child.exit_code}: {' '.join(lines[-3:])}")
        return
    _say(ok=ended.reason is Reason.COMPLETED, words=ended.message)


def _say(*, ok: bool, words: str) -> None:
    sys.stdout.write(Said(ok=ok, words=words).model_dump_json() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
