"""What the numbers of a training depend on apart from its job: versions, devices and settings of this machine."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf


def take_fingerprint(*, deterministic: bool) -> dict[str, str]:
    """Return the fingerprint of this machine. It initializes TensorFlow's devices."""
    return {
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "processor": _processor(),
        "devices": ", ".join(device.name for device in tf.config.list_logical_devices()),
        "gpus": ", ".join(map(_gpu_model, tf.config.list_physical_devices("GPU"))),
        "determinism": "on" if deterministic else "off",
        "threads": f"{tf.config.threading.get_intra_op_parallelism_threads()}",
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }


def differences(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """Return why a resumed training may differ from an uninterrupted one in the last bits; empty if it does not."""
    changed = [f"{name} was {then.get(name)}, is {now.get(name)}" for name in now if now.get(name) != then.get(name)]
    if now.get("gpus") and now.get("determinism") != "on":
        changed.append("a GPU computes slightly different numbers each time, unless the job sets `deterministic`")
    return changed


def _gpu_model(gpu: tf.config.PhysicalDevice) -> str:
    return str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))


def _processor() -> str:
    """Return the model of the processor, because oneDNN has different kernels for each."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
