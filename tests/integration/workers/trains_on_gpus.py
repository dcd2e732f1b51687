"""The real training process, but each GPU that it is given is a logical CPU. It prints what CUDA would show it.

It locks a file for each, so that two that have the same one cannot both train. A job with the name `holds` trains
nothing: it has its GPUs for a moment, and ends.
"""

import fcntl
import os
from pathlib import Path
from threading import Event

import tensorflow as tf
from tensorflow.python.eager import context

from workers.shared.protocol import Ended
from workers.trainer import run, strategy, training

HELD_SECONDS = 0.05

set_up_devices, train = strategy.set_up_devices, training.Training.run
locks = []


def logical_cpus(count):
    assert not context.context()._initialized, "CUDA would have read before what it may show"
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return [f"CPU:{index}" for index in range(count)]


def set_up(start):
    devices = set_up_devices(start)
    print(f"sees {os.environ['CUDA_VISIBLE_DEVICES']}", flush=True)  # noqa: T201 -- it is a line of the job's log
    return devices


def lock(start):
    for uuid in start.gpus:
        locks.append((Path(start.work_dir).parents[1] / f"{uuid}.lock").open("w"))
        fcntl.flock(locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)


def run_it(self):
    lock(self._start)
    if self._start.spec.get("name") != "holds":
        return train(self)
    Event().wait(HELD_SECONDS)
    return Ended(reason="nan_loss", message="It held what it was given.")


def main(pipes):
    strategy._set_up_gpus, strategy.set_up_devices = logical_cpus, set_up
    training.Training.run = run_it
    run.main(pipes)
