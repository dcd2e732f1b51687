"""The model checker: the process in which the API has models checked, `python -m workers.model_check.server`.

Its stdin is a socket to the API. The process imports TensorFlow once, sends whether it is ready, and forks a child for
each request. Request and result go over a connection of their own, which the API passes along. This is not
multiprocessing's fork server, because that would run the main module of the API, gunicorn, in each child, and give it
the API's secrets with its environment.

No child can use more time or memory than its limits. When the API is gone, this process exits too.
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

CPU_SECONDS: Final = 0.8
"""The limit for everything but the model: a malicious job is stopped within a second."""
CPU_SECONDS_PER_LAYER: Final = 0.004
"""Added for each unit of build cost of the model and the initial model. On an idle machine, Keras needs a quarter."""
CPU_SECONDS_PER_METRIC: Final = 0.01
"""Added for each loss and metric of each output beyond the first FREE_METRICS. Keras needs about 7 ms for one."""
FREE_METRICS: Final = 64
REFERENCE_SECONDS: Final = 0.036
"""What `_measure_slowness` takes on the machine on which these limits were measured."""
MAX_CPU_SECONDS: Final = 10
"""More than any sum of the limits above: the kernel stops the process with this if their timer fails."""
WALL_SECONDS: Final = 60
MEMORY_BYTES: Final = 1024**3
"""The limit beyond what the imports need already."""

CHILD_STARTED: Final = b"+"
"""The first byte from each child. If nothing follows it, the child died while it checked the job."""


def main() -> None:
    """Serve requests until the API is gone."""
    control = socket.socket(fileno=sys.stdin.fileno())
    # Ctrl-C in a terminal reaches every process of the group, but this one exits with the API.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nothing waits for the children, so the kernel must reap them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    problem = _prepare()
    slowness = _measure_slowness()
    control.sendall(json.dumps({"problem": problem}).encode() + b"\n")
    while problem is None:
        received, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not received:
            return
        if os.fork() == 0:
            control.close()
            _serve(socket.socket(fileno=descriptors[0]), slowness)
        os.close(descriptors[0])


def _prepare() -> str | None:
    """Import what the children need; return what is wrong with this process, or None."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        import workers.model_check.check  # noqa: F401 -- for the children

        import_module("scipy.signal")  # Keras imports it for the first STFTSpectrogram, which takes seconds
        from workers.keras_tools.fork_safety import fork_hazards
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    # A child's garbage collector would visit a million objects of TensorFlow's modules, and by touching them copy the
    # memory that it shares with this process. A child lives for less time than a collection takes.
    gc.collect()
    gc.freeze()
    gc.disable()
    return "; ".join(fork_hazards(os.getpid())) or None


def _measure_slowness() -> float:
    """Return how many times longer than the reference machine this one takes, at least 1.

    Limits are multiplied by it, so that a slow machine refuses no valid job.
    """
    began = time.process_time()
    total = 0
    for number in range(500_000):
        total += number
    return max(1.0, (time.process_time() - began) / REFERENCE_SECONDS)


def _serve(connection: socket.socket, slowness: float) -> None:
    """Answer one request and exit.

    Each line of the answer but the last is the pointer of what Keras builds next; the last line is the result.
    """
    try:
        _set_limits()
        connection.sendall(CHILD_STARTED)
        request = b"".join(iter(lambda: connection.recv(65_536), b""))
        connection.sendall(_check(request, slowness, lambda pointer: connection.sendall(f"{pointer}\n".encode())))
    finally:
        os._exit(0)


def _set_limits() -> None:
    """Set the limits that are the same for every job, before the request is read."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WALL_SECONDS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for limit, value in {
        resource.RLIMIT_AS: pages * resource.getpagesize() + MEMORY_BYTES,
        resource.RLIMIT_CPU: MAX_CPU_SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }.items():
        resource.setrlimit(limit, (value, value))


def _check(request: bytes, slowness: float, announce: Callable[[str], None]) -> bytes:
    """Return the result of a check, as JSON."""
    import tensorflow as tf

    from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
    from workers.model_check.check import check

    try:
        check_request = ModelCheckRequest.model_validate_json(request)
        _limit_cpu_seconds(slowness * _allowed_cpu_seconds(check_request.spec, check_request.initial_model))
        result = check(check_request, announce)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise  # the API treats a child without a result as one that exceeded its limits
    except Exception:
        result = ModelCheckResult(failure=traceback.format_exc())
    return result.model_dump_json().encode()


def _allowed_cpu_seconds(spec: dict[str, Any], initial_model: dict[str, Any] | None) -> float:
    """Return how long the check of a job may take on the reference machine."""
    from fitqueue.spec.keras_objects.model import build_cost

    cost = build_cost(spec.get("model")) + build_cost(initial_model)
    metrics = max(0, _count_metrics(spec.get("compile")) - FREE_METRICS)
    return CPU_SECONDS + CPU_SECONDS_PER_LAYER * cost + CPU_SECONDS_PER_METRIC * metrics


def _count_metrics(compiled: Any) -> int:
    """Return how many losses and metrics a job has for all outputs together."""
    if not isinstance(compiled, dict):
        return 0
    fields = [compiled.get(name) for name in ("loss", "metrics", "weighted_metrics")]
    by_output = [of_output for field in fields for of_output in _by_output(field)]
    return sum(len(of_output) if isinstance(of_output, list) else 1 for of_output in by_output)


def _by_output(field: Any) -> list[Any]:
    """Return the loss, or the list of metrics, of each output."""
    if isinstance(field, dict) and "class_name" not in field:
        return list(field.values())
    return [field] if field else []


def _limit_cpu_seconds(seconds: float) -> None:
    """Have the process killed after this much CPU time. RLIMIT_CPU takes only whole seconds."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main()
