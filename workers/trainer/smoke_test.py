"""Run in a child: do the devices of this machine work together as a job on several of them needs it?"""

import time

import tensorflow as tf

from fitqueue.states import Phase, Reason
from workers.shared.entry import ChildPipes
from workers.shared.protocol import Ended, PhaseChanged, Start
from workers.trainer.child import live
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter
from workers.trainer.strategy import set_up_devices

LENGTH = 1024


def main(pipes: ChildPipes) -> None:
    """Speak, sum over all devices, and say how that went. Never returns."""
    live(pipes, _run_smoke_test)


def _run_smoke_test(start: Start, control: Control, reporter: Reporter) -> Ended:  # noqa: ARG001 -- as each child's
    reporter.emit(PhaseChanged(phase=Phase.BUILDING))
    try:
        devices = set_up_devices(start)
        seconds = all_reduce(devices)
    except Exception as error:
        return Ended(reason=Reason.INTERNAL_ERROR, message=f"{type(error).__name__}: {error}")
    return Ended(reason=Reason.COMPLETED, message=f"{', '.join(devices)} summed up in {seconds:.2f} s")


def all_reduce(devices: list[str]) -> float:
    """Sum a vector over the replicas of a MirroredStrategy; the seconds that it took.

    Raises:
        ArithmeticError: the sum is wrong on one of them.
    """
    began = time.perf_counter()
    strategy = tf.distribute.MirroredStrategy(devices)
    sums = strategy.experimental_local_results(strategy.run(tf.function(_sum_over_replicas)))
    expected = sum(range(1, len(devices) + 1))
    for device, found in zip(devices, sums, strict=True):
        if not bool(tf.reduce_all(found == expected)):
            raise ArithmeticError(f"the sum over the devices is wrong on {device}: {found[0].numpy()}, not {expected}")
    return time.perf_counter() - began


def _sum_over_replicas() -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    mine = tf.ones([LENGTH]) * tf.cast(context.replica_id_in_sync_group + 1, tf.float32)
    return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)
