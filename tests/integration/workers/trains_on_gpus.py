"""The real training process, except that its GPUs are logical CPUs. It prints which GPUs CUDA would show it.

It locks a file for each GPU, so two processes cannot train on the same one. A job that is named `holds` does not train:
it holds its GPUs for a moment, and ends.
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
    assert not context.context()._initialized, "CUDA would have read its environment before it was set"
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return [f"CPU:{index}" for index in range(count)]


def set_up(start):
    devices = set_up_devices(start)
    print(f"sees {os.environ['CUDA_VISIBLE_DEVICES']}", flush=True)  # noqa: T201 -- a line of the job's log
    return devices


def lock(start):
    for uuid in start.gpus:
        locks.append((Path(start.work_dir).parents[1] / f"{uuid}.lock").open("w"))
        fcntl.flock(locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_and_run(self):
    lock(self._start)
    if self._start.spec.get("name") != "holds":
        return train(self)
    Event().wait(HELD_SECONDS)
    return Ended(reason="nan_loss", message="It held its GPUs.")


def main(pipes):
    strategy._set_up_gpus, strategy.set_up_devices = logical_cpus, set_up
    training.Training.run = lock_and_run
    run.main(pipes)
