"""Jobs on a GPU whose process or worker is killed, and a job that needs more memory than the GPU has."""

import os
import signal
import time

import fitqueue
from benchmarks.common import cnn_job, require_success
from benchmarks.gpu_trial.claims import training_processes
from benchmarks.gpu_trial.observations import gpu_mib, job_without_xla, observe
from fitqueue.states import EventKind, JobState
from service.stack import Stack


def kill_and_resume(stack: Stack, client: fitqueue.Client, gpus: int) -> None:
    """Kill the training process of a job, then the worker of another. Observe whether the metrics are the same."""
    job = cnn_job("digits", 12) | {"deterministic": True, "resources": {"gpus": gpus}}
    undisturbed = require_success(client.submit(job, wait=True))
    for victim in ("child", "worker"):
        submitted = client.submit(job)
        while client.get(submitted.id).progress.epoch < 5:
            time.sleep(0.05)
        is_child = victim == "child"
        os.kill(training_processes(stack)[submitted.id] if is_child else stack.processes["worker"].pid, signal.SIGKILL)
        while not (ended := client.get(submitted.id)).state.is_final:
            stack.supervise()
            time.sleep(0.3)
        messages = [
            event.message for event in client.events(ended.id) if event.kind in {EventKind.RESUMED, EventKind.REQUEUED}
        ]
        observe(
            f"the {victim} was killed",
            state=str(ended.state),
            attempts=ended.attempt,
            has_same_metrics=_metrics(client, ended.id) == _metrics(client, undisturbed.id),
            events=messages,
        )
    observe("GPU memory afterwards", gpu_mib=gpu_mib())


def exhaust_memory(client: fitqueue.Client, gpus: int) -> None:
    """Submit a job that does not fit into the GPU's memory, and then one that does.

    Raises:
        AssertionError: the second job did not succeed.
    """
    layers = [
        {"class_name": "Input", "config": {"shape": [8, 8]}},
        {"class_name": "Flatten", "config": {}},
        {"class_name": "Dense", "config": {"units": 30_000_000, "activation": "tanh"}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
    ]
    job = {
        "model": {"class_name": "Sequential", "config": {"layers": layers}},
        "compile": {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"},
        "data": {"dataset": "digits", "x": "x_train", "y": "y_train"},
        "fit": {"epochs": 1, "batch_size": 1437},
        "resources": {"gpus": gpus},
    }
    began = time.perf_counter()
    ended = client.submit(job, wait=True)
    observe(
        "a job that is too large",
        state=str(ended.state),
        reason=str(ended.reason),
        attempts=ended.attempt,
        seconds=round(time.perf_counter() - began, 1),
        message=(ended.message or "")[:600],
    )
    next_job = client.submit(job_without_xla(1, gpus), wait=True)
    observe("the next job", state=str(next_job.state), gpu_mib=gpu_mib())
    assert next_job.state is JobState.SUCCEEDED


def _metrics(client: fitqueue.Client, job_id: str) -> list[dict[str, float | None]]:
    return [row.metrics for row in client.metrics(job_id)]
