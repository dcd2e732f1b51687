"""The devices that a child trains on, and how a model is spread over them."""

import os
from contextlib import AbstractContextManager, nullcontext

import tensorflow as tf

from workers.shared.protocol import Start


class DevicesMissing(Exception):
    """The GPUs that the worker promised are not to be seen."""


def set_up_devices(start: Start) -> list[str]:
    """Show TensorFlow the devices of this job, and no others. To be called once, before anything is computed.

    Returns their logical names, such as `GPU:0` or `CPU:1`.

    Raises:
        DevicesMissing: TensorFlow sees fewer GPUs than the job was given.
    """
    tf.config.threading.set_intra_op_parallelism_threads(start.threads)
    tf.config.threading.set_inter_op_parallelism_threads(start.threads)
    # CUDA reads it when it is first used, which no process before this one has done.
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(start.gpus) or "-1"
    if start.gpus:
        return _gpus(len(start.gpus))
    if start.cpu_devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * start.cpu_devices)
    return [f"CPU:{index}" for index in range(start.cpu_devices)]


def choose(devices: list[str], wanted: str) -> tf.distribute.Strategy | None:
    """None for TensorFlow's default: on one device it gives the same numbers for a tenth less work."""
    if len(devices) == 1 and wanted != "mirrored":
        return None
    return tf.distribute.MirroredStrategy(devices)


def scope(strategy: tf.distribute.Strategy | None) -> AbstractContextManager[object]:
    return strategy.scope() if strategy is not None else nullcontext()


def _gpus(count: int) -> list[str]:
    found = tf.config.list_physical_devices("GPU")
    if len(found) != count:
        raise DevicesMissing(f"The job was given {count} GPUs, and TensorFlow sees {len(found)}.")
    for gpu in found:
        tf.config.experimental.set_memory_growth(gpu, True)
    return [f"GPU:{index}" for index in range(count)]
