"""The devices that a child trains on, and the strategy that spreads a model over them."""

import os
from contextlib import AbstractContextManager, nullcontext

import tensorflow as tf

from workers.shared.protocol import Devices


class DevicesMissing(Exception):
    """TensorFlow does not see the GPUs that the worker has reserved."""


def set_up_devices(chosen: Devices) -> list[str]:
    """Show TensorFlow the devices of this job and no others. Call it before anything is computed.

    After that, calling it again with the same devices does nothing.

    Returns:
        The logical names of the devices, such as `GPU:0` or `CPU:1`.

    Raises:
        DevicesMissing: TensorFlow does not see as many GPUs as the job was given.
    """
    tf.config.threading.set_intra_op_parallelism_threads(chosen.threads)
    tf.config.threading.set_inter_op_parallelism_threads(chosen.threads)
    # CUDA reads the variable at its first use, and no process before this one has used CUDA.
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(chosen.gpus) or "-1"
    if chosen.gpus:
        return _set_up_gpus(len(chosen.gpus))
    if chosen.cpu_devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * chosen.cpu_devices)
    return [f"CPU:{index}" for index in range(chosen.cpu_devices)]


def make_strategy(devices: list[str], requested: str) -> tf.distribute.Strategy | None:
    """Return a MirroredStrategy; None for TensorFlow's default, which computes the same on one device in less time.

    Args:
        requested: `resources.strategy` of the job.
    """
    if len(devices) == 1 and requested != "mirrored":
        return None
    return tf.distribute.MirroredStrategy(devices)


def scope(strategy: tf.distribute.Strategy | None) -> AbstractContextManager[object]:
    """Return the scope in which to build a model for this strategy."""
    return strategy.scope() if strategy is not None else nullcontext()


def is_replicated(strategy: tf.distribute.Strategy | None) -> bool:
    """Return whether the strategy trains several replicas of a model."""
    return strategy is not None and strategy.num_replicas_in_sync > 1


def _set_up_gpus(count: int) -> list[str]:
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) != count:
        raise DevicesMissing(f"The job was given {count} GPUs, but TensorFlow sees {len(gpus)}.")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return [f"GPU:{index}" for index in range(count)]
