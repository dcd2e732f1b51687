"""The child's main function: read the job, train it, and say how it ended."""

import traceback

from workers.shared.entry import ChildPipes
from workers.shared.protocol import Ended, SnapshotRefused, Start, Stopped
from workers.trainer import outcome
from workers.trainer.child import live
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter
from workers.trainer.snapshot import SnapshotMismatch
from workers.trainer.training import Training


def main(pipes: ChildPipes) -> None:
    """Train one job. Never returns."""
    live(pipes, _train)


def _train(start: Start, control: Control, reporter: Reporter) -> Ended | SnapshotRefused | Stopped:
    training = Training(start, control, reporter.emit)
    try:
        return training.run()
    except SnapshotMismatch as error:
        return SnapshotRefused(message=str(error))
    except BaseException as error:  # nothing may leave the process without a last word
        traceback.print_exc()
        return outcome.of_error(error, training=training.began, nan_watched=training.nan_watched)
