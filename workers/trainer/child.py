"""The life of every child: it reads its start message, does its work, sends a last message and exits.

It exits by `os._exit`, because TensorFlow's own cleanup is of no use by then, and some of it hangs.
"""

import os
import resource
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from fitqueue.reports import Message
from workers.shared.entry import ChildPipes
from workers.shared.protocol import ResourcesUsed, Start, WarmedUp, WarmUp
from workers.trainer import stdio
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter


def run_child(
    pipes: ChildPipes,
    work: Callable[[Start, Control, Reporter], Message],
    warm_up: Callable[[WarmUp], None] = lambda _: None,
) -> NoReturn:
    """Do the work of a child and exit.

    Args:
        warm_up: prepares for a job that is not known yet, if the worker wants that. If it raises, the child ends.
        work: returns the last message. It must not raise: the worker treats a child without a last message as
            killed.
    """
    stdio.capture(pipes.stdout, pipes.stderr)
    control = Control(pipes.control)
    reporter = Reporter(pipes.reports)
    _volunteer_for_the_kernel()

    def answer(command: WarmUp) -> None:
        try:
            warm_up(command)
        except BaseException:
            traceback.print_exc()
            stdio.flush()
            os._exit(1)
        reporter.emit(WarmedUp())

    start = control.read_start(answer)
    control.watch()
    last_message = work(start, control, reporter)
    reporter.emit(_resources_used())
    reporter.emit(last_message)
    stdio.flush()
    os._exit(0)


def _resources_used() -> ResourcesUsed:
    own, waited_for = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return ResourcesUsed(
        cpu_seconds=own.ru_utime + own.ru_stime + waited_for.ru_utime + waited_for.ru_stime,
        peak_memory_bytes=own.ru_maxrss * 1024,
    )


def _volunteer_for_the_kernel() -> None:
    """Have the kernel kill this process first when memory runs out, and neither the worker nor a database."""
    with suppress(OSError):  # /proc may be read-only
        Path("/proc/self/oom_score_adj").write_text("1000")
