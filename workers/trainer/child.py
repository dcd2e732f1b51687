"""The life of a child, whatever it does: listen, do it, say how that went, and leave.

The process leaves by os._exit: after the last word nothing that TensorFlow would do at a normal exit is of use, and
some of it hangs.
"""

import os
from collections.abc import Callable
from typing import NoReturn

from fitqueue.reports import Message
from workers.shared.entry import ChildPipes
from workers.shared.protocol import Start
from workers.trainer import stdio
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter


def live(pipes: ChildPipes, act: Callable[[Start, Control, Reporter], Message]) -> NoReturn:
    """`act` gives the last word. It may raise nothing: who leaves without one is taken for killed."""
    stdio.capture(pipes.stdout, pipes.stderr)
    control = Control(pipes.control)
    reporter = Reporter(pipes.events)
    start = control.read_start()
    control.watch()
    reporter.emit(act(start, control, reporter))
    stdio.flush()
    os._exit(0)
