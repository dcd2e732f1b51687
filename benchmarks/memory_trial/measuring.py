"""Measure what a job takes in a child, and what the model check says that it takes.

Both run in forks of this process, as in production: the child is forked from a process that has loaded TensorFlow, and
what counts is the memory that it takes beyond that.
"""

import json
import os
import resource
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from fitqueue.datasets import ArrayInfo, DatasetInfo

Arrays = Mapping[str, tuple[tuple[int, ...], str]]
"""The shapes and dtypes of the arrays of a data set, all zeros."""

MACHINE_BYTES: Final = 6 * 1024**3
"""The address space that a child may take beyond its parent's: no job of this trial hurts the machine."""


@dataclass(frozen=True)
class Measured:
    """What came of one job: sizes in bytes.

    Attributes:
        faults: the codes of its faults; empty if it was accepted.
        estimate: by part; empty if there is none.
        peak: what the child took at most; None if the job was refused.
        outcome: the reason that the training ended with.
    """

    faults: list[str]
    estimate: dict[str, int]
    peak: int | None = None
    outcome: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the estimate the child took."""
        return self.peak / self.estimate["total"] if self.peak is not None and self.estimate else None


def measure(body: dict[str, Any], arrays: Arrays, max_bytes: int) -> Measured:
    """Check a job, and train it if it is accepted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        if arrays:
            np.savez_compressed(path, **{name: np.zeros(shape, dtype) for name, (shape, dtype) in arrays.items()})
        checked = _in_child(lambda: _check(body, arrays, max_bytes))
        if checked["faults"]:
            return Measured(checked["faults"], checked["estimate"])
        trained = _in_child(lambda: _train(checked["spec"], path if arrays else None, Path(folder)))
        return Measured([], checked["estimate"], trained.get("peak"), trained["outcome"])


def _in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(writer, json.dumps(work()).encode())
        except BaseException as error:
            os.write(writer, json.dumps({"outcome": f"{type(error).__name__}: {error}"[:500]}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(content) if content else {"outcome": f"killed by signal {os.WTERMSIG(status)}"}


def _check(body: dict[str, Any], arrays: Arrays, max_bytes: int) -> dict[str, Any]:
    from fitqueue.datasets import BUILTIN
    from fitqueue.model_check import ModelCheckRequest
    from fitqueue.spec import examine_job
    from workers.model_check.check import check

    infos = {name: ArrayInfo(shape, dtype) for name, (shape, dtype) in arrays.items()}
    info = DatasetInfo("zeros", infos) if arrays else BUILTIN[body["data"]["dataset"]].info
    examined = examine_job(body, lambda _: info)
    if examined.spec is None:
        return {
            "faults": [f"{fault.pointer} {fault.code}: {fault.message}" for fault in examined.faults],
            "estimate": {},
        }
    spec = examined.spec.to_json()
    request = ModelCheckRequest(spec=spec, arrays=info.arrays, max_bytes=max_bytes)
    _limit_memory(1024**3)
    try:
        result = check(request, lambda pointer: None)
    except MemoryError:
        return {"faults": ["too_large"], "estimate": {}}
    estimate = result.summary.memory.model_dump() if result.summary else {}
    return {
        "faults": [f"{fault.pointer} {fault.code}: {fault.message}" for fault in result.faults],
        "spec": spec,
        "estimate": estimate,
    }


def _train(spec: dict[str, Any], dataset: Path | None, folder: Path) -> dict[str, Any]:
    from workers.shared.protocol import Ended, Start
    from workers.trainer import outcome
    from workers.trainer.training import Training

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    work_dir = folder / "work"
    work_dir.mkdir()
    start = Start(
        job_id="j", attempt=1, spec=spec, dataset_path=str(dataset) if dataset else None, work_dir=str(work_dir),
        gpus=[], cpu_devices=1, threads=1,
    )  # fmt: skip
    _limit_memory(MACHINE_BYTES)
    began = _reset_peak()
    training = Training(start, _NoControl(), lambda message: None)
    try:
        result = training.run()
        reason = f"{result.reason}: {result.message}" if isinstance(result, Ended) else type(result).__name__
    except BaseException as error:
        ended = outcome.of_error(error, in_fit=training.fit_was_entered, terminates_on_nan=False)
        reason = f"{ended.reason}: {ended.message}"[:300]
    return {"peak": _status("VmHWM") - began, "outcome": reason}


class _NoControl:
    """A control pipe on which nothing comes."""

    def check(self) -> None:
        """Let the training continue."""


def _limit_memory(size: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size,) * 2)


def _reset_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field + ":")).split()[1]) * 1024
