"""The child's main function: read the job, train it, say how it ended, and leave.

The process leaves by os._exit: after the last word nothing that TensorFlow would do at a normal exit is of use, and
some of it hangs.
"""

import os
import traceback

from workers.entry import ChildPipes
from workers.protocol import Ended, SnapshotRefused, Stopped
from workers.trainer import endings, stdio
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter
from workers.trainer.snapshot import SnapshotUnfit
from workers.trainer.training import Training


def main(pipes: ChildPipes) -> None:
    """Train one job. Never returns."""
    stdio.capture(pipes.stdout, pipes.stderr)
    control = Control(pipes.control)
    reporter = Reporter(pipes.events)
    start = control.read_start()
    control.watch()
    reporter.say(_trained(Training(start, control, reporter.say)))
    stdio.flush()
    os._exit(0)


def _trained(training: Training) -> Ended | SnapshotRefused | Stopped:
    try:
        return training.run()
    except SnapshotUnfit as error:
        return SnapshotRefused(message=str(error))
    except BaseException as error:  # nothing may leave the process without a last word
        traceback.print_exc()
        return endings.of_error(error, training=training.began, nan_watched=training.nan_watched)
