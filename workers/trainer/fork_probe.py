"""Run in a child of a new nursery: did the imports leave anything that a fork does not survive?"""

import os
import sys
from pathlib import Path
from typing import Final

from tensorflow.python.eager import context

from workers.shared.entry import ChildPipes
from workers.trainer.stdio import capture

_IMPORTED_BY: Final = os.getpid()


def main(pipes: ChildPipes) -> None:
    """Print what is wrong and leave with code 1, or leave with 0."""
    capture(pipes.stdout, pipes.stderr)
    complaints = list(found())
    for complaint in complaints:
        sys.stderr.write(f"{complaint}\n")
    sys.exit(1 if complaints else 0)


def found() -> list[str]:
    complaints = []
    if os.getpid() == _IMPORTED_BY:  # multiprocessing says nothing where a preload fails
        complaints.append("the nursery has not preloaded the trainer: each job would import TensorFlow anew")
    return complaints + fork_hazards(os.getppid())


def fork_hazards(pid: int) -> list[str]:
    """What is wrong with the nursery of this number. To be asked in it, or in a new child of its own."""
    complaints = []
    if context.context_safe() is not None:
        complaints.append("TensorFlow's runtime was started in the nursery: every child would hang")
    threads = len(list(Path(f"/proc/{pid}/task").glob("*"))) or 1
    if threads > 1:
        complaints.append(f"the nursery has {threads} threads; a fork takes along one, and the locks of all")
    devices = [fd for fd in Path("/proc/self/fd").glob("*") if _target(fd).startswith("/dev/nvidia")]
    if devices:
        complaints.append("the nursery has opened a GPU; its children could not use it")
    return complaints


def _target(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except OSError:  # the descriptor of this very listing is closed by now
        return ""
