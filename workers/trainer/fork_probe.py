"""Runs in the first child of a new fork server: can its children train?"""

import os
import sys
from typing import Final

from workers.keras_tools.fork_safety import fork_hazards
from workers.shared.entry import ChildPipes
from workers.trainer.stdio import capture

_IMPORTED_BY: Final = os.getpid()


def main(pipes: ChildPipes) -> None:
    """Exit with 0 if they can; else print the problems and exit with 1."""
    capture(pipes.stdout, pipes.stderr)
    problems = _find_problems()
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    sys.exit(1 if problems else 0)


def _find_problems() -> list[str]:
    problems = []
    if os.getpid() == _IMPORTED_BY:  # multiprocessing does not report a failed preload
        problems.append("the fork server has not preloaded the trainer: each job would import TensorFlow again")
    return problems + fork_hazards(os.getppid())
