"""Whether a process that has imported TensorFlow can still be forked."""

from pathlib import Path
from typing import Final

from tensorflow.python.eager import context

_GPU_DEVICES: Final = "/dev/nvidia"


def fork_hazards(pid: int) -> list[str]:
    """Return what makes it unsafe to fork a process, one text for each hazard.

    Call it in that process, or in a child that it has just forked: a child has its parent's TensorFlow and open files.

    Args:
        pid: the process that forks; its threads are counted.
    """
    hazards = []
    if context.context_safe() is not None:
        hazards.append("TensorFlow's runtime was started before the fork: every child would hang")
    threads = len(list(Path(f"/proc/{pid}/task").glob("*"))) or 1
    if threads > 1:
        hazards.append(
            f"the forking process has {threads} threads: a child gets only one of them, but the locks of all"
        )
    if any(_target(descriptor).startswith(_GPU_DEVICES) for descriptor in Path("/proc/self/fd").glob("*")):
        hazards.append("the forking process has opened a GPU: its children could not use it")
    return hazards


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:  # the descriptor that listed the folder is closed by now
        return ""
