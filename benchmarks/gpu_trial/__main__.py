"""Try FitQueue on a real GPU, in several experiments: `python -m benchmarks.gpu_trial --seconds 330`.

Each observation is one line of JSON, and an experiment that fails does not keep the next one from running. With `--cpu`
the same experiments run without a GPU, to try the program itself. Only the timings let Keras compile with XLA, which
takes 20 s for each job on a GPU.
"""

import argparse
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import fitqueue
from benchmarks import gpu_check
from benchmarks.common import console, running_stack
from benchmarks.gpu_trial.children import try_children
from benchmarks.gpu_trial.claims import try_claims
from benchmarks.gpu_trial.failures import exhaust_memory, kill_and_resume
from benchmarks.gpu_trial.observations import BEGAN, nvml, observe
from benchmarks.gpu_trial.timings import time_first_steps, time_mnist, time_resnet
from service import environment
from service.stack import Stack


class Experiment(NamedTuple):
    """An experiment that needs a running stack."""

    name: str
    run: Callable[[], object]
    seconds: float
    """How long it takes. It is skipped if less time is left."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_trial", description=__doc__)
    parser.add_argument("--seconds", type=float, default=330.0, help="how long the trial may take")
    parser.add_argument("--cpu", action="store_true", help="run without a GPU")
    parser.add_argument("--mnist", type=Path, help="MNIST as .npz; without it, synthetic data of its size")
    parser.add_argument("--samples", type=int, default=10_000, help="images for ResNet50")
    options = parser.parse_args()
    gpus = [] if options.cpu else nvml.list_gpus()
    described = [(gpu.name, gpu.uuid, gpu.used_bytes >> 20) for gpu in gpus]
    observe("the devices", gpus=described, cpus=os.cpu_count())
    os.environ.update(environment.for_children(os.environ))
    uuids = [gpu.uuid for gpu in gpus]
    with observed("children"):
        try_children(uuids)
    with observed("stack"), running_stack(FITQUEUE_LEASE_SECONDS="5") as (stack, client):
        observe("the stack is ready")
        try:
            for name, run, seconds in list_experiments(stack, client, uuids, options):
                if time.monotonic() - BEGAN + seconds > options.seconds:
                    observe("skipped, because too little time is left", experiment=name)
                    continue
                with observed(name):
                    run()
        finally:
            print_warnings(stack)


def list_experiments(
    stack: Stack, client: fitqueue.Client, uuids: list[str], options: argparse.Namespace
) -> list[Experiment]:
    """Return the experiments that need a stack, the most important ones first."""
    count = min(1, len(uuids))
    return [
        Experiment("comparison with the CPU", lambda: compare_with_cpu(client, count), 45),
        Experiment("kills", lambda: kill_and_resume(stack, client, count), 55),
        Experiment("claims", lambda: try_claims(stack, client, uuids), 45),
        Experiment("out of memory", lambda: exhaust_memory(client, count), 20),
        Experiment("first steps", lambda: time_first_steps(client, count), 90),
        Experiment("MNIST", lambda: time_mnist(client, count, options.mnist), 130),
        Experiment("ResNet50", lambda: time_resnet(client, count, options.samples), 120),
    ]


def compare_with_cpu(client: fitqueue.Client, gpus: int) -> None:
    observe("the comparison with the CPU", is_passed=gpu_check.compare(client, gpus))


@contextmanager
def observed(name: str) -> Iterator[None]:
    """Observe how an experiment ends. An error in the block does not end the trial, except for Ctrl-C."""
    began = time.perf_counter()
    try:
        yield
    except BaseException as error:
        observe("failed", experiment=name, error=f"{type(error).__name__}: {error}"[:800])
        traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            raise
    observe("ended", experiment=name, seconds=round(time.perf_counter() - began, 1))


def print_warnings(stack: Stack) -> None:
    """Print the last lines of the logs of the API and the worker that are not of the level INFO."""
    for name in ("api", "worker"):
        log = (stack.folder / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
        warnings = [line[:400] for line in log if '"level": "INFO"' not in line]
        console.print(f"{name}.log, without INFO: {len(warnings)} lines", *warnings[-25:], sep="\n", markup=False)


if __name__ == "__main__":
    main()
