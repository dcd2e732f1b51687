"""The process in which the API has its models checked: `python -m workers.model_check.server`, a socket as its stdin.

It imports TensorFlow once, says so, and forks a child for each question; the question and its answer go over a socket
of their own, which the API sends along. Not multiprocessing's forkserver: that would run the server's main module,
gunicorn, in each child, and give it the API's secrets with its environment. No child can take more time or memory than
its limits; when the API is gone, so is this process.
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
"""For whatever a job is made of but its model: a job that is made to hurt is gone within a second."""
CPU_SECONDS_A_LAYER: Final = 0.004
"""By the weight of the model, and of the one that it begins from. Keras takes a quarter of it on an idle machine."""
CPU_SECONDS_A_MEASURE: Final = 0.01
"""For each loss and metric of each output beyond the first few. Keras takes about 7 ms for one."""
FEW_MEASURES: Final = 64
REFERENCE_SECONDS: Final = 0.036
"""What `_pace` takes on the machine that these were found on."""
MOST_CPU_SECONDS: Final = 10
"""Above the largest two of them; should the clock of the above fail, the kernel's limit ends the process."""
WALL_SECONDS: Final = 60
MEMORY_BYTES: Final = 1024**3
"""Above what the imports take already."""

GREETING: Final = b"+"
"""The first byte from each child: from then on, silence means that the child died of its question."""


def main() -> None:
    control = socket.socket(fileno=sys.stdin.fileno())
    # Ctrl-C in a terminal reaches every process of the group; this one ends with the API.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody waits for the children: the kernel buries them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    problem = _prepare()
    pace = _pace()
    control.sendall(json.dumps({"problem": problem}).encode() + b"\n")
    while problem is None:
        word, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not word:
            return
        if os.fork() == 0:
            control.close()
            _serve(socket.socket(fileno=descriptors[0]), pace)
        os.close(descriptors[0])


def _prepare() -> str | None:
    """Import what the children need; what is wrong, if something is."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        import workers.model_check.check  # noqa: F401 -- for the children

        import_module("scipy.signal")  # Keras does it at the first STFTSpectrogram, and takes seconds
        from workers.keras_tools.fork_safety import fork_hazards
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    # A child's collector would go through a million objects of TensorFlow's modules, and copy the memory that they
    # share by touching them; a child lives for less than a collection takes, within its limit of memory.
    gc.collect()
    gc.freeze()
    gc.disable()
    return "; ".join(fork_hazards(os.getpid())) or None


def _pace() -> float:
    """How much longer than on the reference machine things take here, at least 1: a slow one must not refuse jobs."""
    began = time.process_time()
    total = 0
    for number in range(500_000):
        total += number
    return max(1.0, (time.process_time() - began) / REFERENCE_SECONDS)


def _serve(line: socket.socket, pace: float) -> None:
    """Answer one question and leave. Lines of pointers say what is being made, the last line is the answer."""
    try:
        _limit()
        line.sendall(GREETING)
        check_request = b"".join(iter(lambda: line.recv(65_536), b""))
        line.sendall(_answered(check_request, pace, lambda pointer: line.sendall(f"{pointer}\n".encode())))
    finally:
        os._exit(0)


def _limit() -> None:
    """Before the question is read: nothing in it can undo this."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WALL_SECONDS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for limit, value in {
        resource.RLIMIT_AS: pages * resource.getpagesize() + MEMORY_BYTES,
        resource.RLIMIT_CPU: MOST_CPU_SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }.items():
        resource.setrlimit(limit, (value, value))


def _allow(seconds: float) -> None:
    """End this process after so much time of its processors; RLIMIT_CPU counts in whole seconds."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _measures(compiled: Any) -> int:
    """How many losses and metrics a job has, of all outputs."""
    if isinstance(compiled, dict):
        fields = [compiled.get(name) for name in ("loss", "metrics", "weighted_metrics")]
        return sum(len(part) if isinstance(part, list) else 1 for field in fields for part in _parts(field))
    return 0


def _parts(field: Any) -> list[Any]:
    """Of each output: its loss, or its metrics."""
    if isinstance(field, dict) and "class_name" not in field:
        return list(field.values())
    return [field] if field else []


def _answered(check_request: bytes, pace: float, say: Callable[[str], None]) -> bytes:
    import tensorflow as tf

    from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
    from fitqueue.spec.keras_objects.model import build_cost
    from workers.model_check.check import check

    try:
        asked = ModelCheckRequest.model_validate_json(check_request)
        models = asked.spec.get("model"), asked.initial_model
        seconds = CPU_SECONDS + CPU_SECONDS_A_LAYER * sum(map(build_cost, models))
        seconds += CPU_SECONDS_A_MEASURE * max(0, _measures(asked.spec.get("compile")) - FEW_MEASURES)
        _allow(pace * seconds)
        answer = check(asked, say)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise  # the service's word for this is the same as for a process that was killed
    except Exception:
        answer = ModelCheckResult(failure=traceback.format_exc())
    return answer.model_dump_json().encode()


if __name__ == "__main__":
    main()
