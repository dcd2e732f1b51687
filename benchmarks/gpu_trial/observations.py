"""What the experiments share: their output, the state of the GPU, and a job that starts fast."""

import json
import time
from threading import Event, Thread
from typing import Any

import numpy as np

from benchmarks.common import cnn_job
from workers.supervisor.devices import NVML

BEGAN = time.monotonic()
nvml = NVML()


def observe(observation: str, **fields: Any) -> None:
    """Print an observation as one line of JSON, with the seconds since the trial began."""
    seconds = round(time.monotonic() - BEGAN, 1)
    print(json.dumps({"seconds_since_start": seconds, "observation": observation, **fields}, default=str), flush=True)


def gpu_mib() -> int:
    """Return how many MiB of the first GPU are in use."""
    gpus = nvml.list_gpus()
    return gpus[0].used_bytes >> 20 if gpus else 0


def job_without_xla(epochs: int, gpus: int) -> dict[str, Any]:
    """Return the reference's CNN on digits as a job that Keras does not compile with XLA."""
    job = cnn_job("digits", epochs) | {"resources": {"gpus": gpus}}
    return job | {"compile": job["compile"] | {"jit_compile": False}}


class Utilization:
    """A context manager that samples the utilization of the first GPU, in percent, inside its block."""

    def __enter__(self) -> "Utilization":
        self._samples: list[int] = []
        self._stopping = Event()
        self._thread = Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _sample(self) -> None:
        try:
            import pynvml

            gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
        except Exception:  # there is no GPU
            return
        while not self._stopping.wait(0.2):
            self._samples.append(pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu)

    @property
    def median(self) -> float | None:
        return float(np.median(self._samples)) if self._samples else None
