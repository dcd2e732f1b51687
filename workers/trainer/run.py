"""The main function of a child that trains a job."""

import traceback

from workers.shared.entry import ChildPipes
from workers.shared.protocol import Ended, SnapshotRefused, Start, Stopped
from workers.trainer import outcome
from workers.trainer.child import run_child
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter
from workers.trainer.snapshot import SnapshotMismatch
from workers.trainer.training import Training
from workers.trainer.warm_up import warm_up


def main(pipes: ChildPipes) -> None:
    """Train one job. Never returns."""
    run_child(pipes, _train, warm_up)


def _train(start: Start, control: Control, reporter: Reporter) -> Ended | SnapshotRefused | Stopped:
    training = Training(start, control, reporter.emit)
    try:
        result = training.run()
        return training.explain(result) if isinstance(result, Ended) else result
    except SnapshotMismatch as error:
        return SnapshotRefused(message=str(error))
    except BaseException as error:  # whatever happens, the worker gets a last message
        traceback.print_exc()
        ended = outcome.of_error(error, in_fit=training.fit_was_entered, terminates_on_nan=training.terminates_on_nan)
        return training.explain(ended)
