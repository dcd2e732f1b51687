"""The doctor's checks that train: the fork server, and a sum over all devices. Both run in a separate process."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from pydantic import ValidationError

from service import environment
from workers.doctor.smoke_test import Devices, StepResult
from workers.supervisor.devices import GPU

LOGICAL_CPUS: Final = 2
"""For a machine without GPUs: a sum over one device would show nothing."""


class SmokeTest:
    """A context manager. At its end, whatever hangs in the process is killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 -- closed at the end of the block

    def fork_server(self, gpus: list[GPU]) -> str:
        """Start a fork server, and wait for the first message of its child."""
        self._process = _start([gpu.uuid for gpu in gpus], self._stderr.fileno())
        return self._read_result()

    def all_reduce(self) -> str:
        """Wait for that child's sum over the devices."""
        return self._read_result()

    def _read_result(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            result = StepResult.model_validate_json(self._process.stdout.readline())
        except ValidationError:
            raise RuntimeError(f"the process ended without a result: {self._last_error_line()}") from None
        if not result.ok:
            raise RuntimeError(result.detail)
        return result.detail

    def _last_error_line(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it did not say why"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):  # a session of its own, so the fork server and the child die with it
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._stderr.close()


def _start(gpus: list[str], stderr: int) -> subprocess.Popen[bytes]:
    devices = Devices(gpus=gpus, cpu_devices=LOGICAL_CPUS)
    return subprocess.Popen(
        [sys.executable, "-m", "workers.doctor.smoke_test", devices.model_dump_json()],
        env=environment.for_children(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )
