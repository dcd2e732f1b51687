"""The checks that train: the nursery, and the sum over all devices, both in a process apart."""

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
from workers.doctor.smoke_test import Devices, Said
from workers.supervisor.devices import GPU

LOGICAL_CPUS: Final = 2
"""Where there is no GPU: to sum over one device would show nothing."""


class SmokeTest:
    """A context manager; whatever hangs in the process ends when it is left."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 -- closed when this is left

    def fork_server(self, gpus: list[GPU]) -> str:
        """A child of a new nursery speaks."""
        self._process = _start([gpu.uuid for gpu in gpus], self._complaints.fileno())
        return self._hear()

    def all_reduce(self) -> str:
        """That child sums over the devices."""
        return self._hear()

    def _hear(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            said = Said.model_validate_json(self._process.stdout.readline())
        except ValidationError:
            raise RuntimeError(f"the process ended without a word: {self._last_complaint()}") from None
        if not said.ok:
            raise RuntimeError(said.words)
        return said.words

    def _last_complaint(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it did not say why"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):  # a session of its own: its nursery and its child go with it
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._complaints.close()


def _start(gpus: list[str], complaints: int) -> subprocess.Popen[bytes]:
    devices = Devices(gpus=gpus, cpu_devices=LOGICAL_CPUS)
    return subprocess.Popen(
        [sys.executable, "-m", "workers.doctor.smoke_test", devices.model_dump_json()],
        env=environment.for_children(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=complaints,
        start_new_session=True,
    )
