"""The main function of a child for the doctor: do the devices of this machine work together?"""

import time
from typing import Final

import tensorflow as tf

from fitqueue.states import Phase, Reason
from workers.shared.entry import ChildPipes
from workers.shared.protocol import Ended, PhaseChanged, Start
from workers.trainer.child import run_child
from workers.trainer.control import Control
from workers.trainer.reporting import Reporter
from workers.trainer.strategy import set_up_devices

_VECTOR_LENGTH: Final = 1024


def main(pipes: ChildPipes) -> None:
    """Send a message, sum a vector over all devices, and report how that went. Never returns."""
    run_child(pipes, _run_smoke_test)


def _run_smoke_test(start: Start, control: Control, reporter: Reporter) -> Ended:  # noqa: ARG001 -- run_child passes it
    reporter.emit(PhaseChanged(phase=Phase.BUILDING))
    try:
        devices = set_up_devices(start)
        seconds = all_reduce(devices)
    except Exception as error:
        return Ended(reason=Reason.INTERNAL_ERROR, message=f"{type(error).__name__}: {error}")
    return Ended(reason=Reason.COMPLETED, message=f"{', '.join(devices)} summed up in {seconds:.2f} s")


def all_reduce(devices: list[str]) -> float:
    """Sum a vector over the replicas of a MirroredStrategy; return the seconds that it took.

    Raises:
        ArithmeticError: the sum is wrong on a device.
    """
    began = time.perf_counter()
    strategy = tf.distribute.MirroredStrategy(devices)
    sums = strategy.experimental_local_results(strategy.run(tf.function(_sum_over_replicas)))
    expected = sum(range(1, len(devices) + 1))
    for device, total in zip(devices, sums, strict=True):
        if not bool(tf.reduce_all(total == expected)):
            message = f"the sum over the devices is wrong on {device}: {total[0].numpy()} instead of {expected}"
            raise ArithmeticError(message)
    return time.perf_counter() - began


def _sum_over_replicas() -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    own = tf.ones([_VECTOR_LENGTH]) * tf.cast(context.replica_id_in_sync_group + 1, tf.float32)
    return context.all_reduce(tf.distribute.ReduceOp.SUM, own)
