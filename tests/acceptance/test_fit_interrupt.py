"""An interrupt of `client.fit` detaches, and a restart of the API is waited for: the result is the same as without."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import fitqueue
from fitqueue.states import JobState
from service.stack import Stack

pytestmark = pytest.mark.timeout(3600)  # three processes load TensorFlow, one after the other
PROGRAM = Path(__file__).with_name("fit_digits.py")


def _notice_interrupts() -> None:
    """Undo what the tests may have inherited: a shell lets commands in the background ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def started(stack: Stack, *arguments: str, program: Sequence[Path] = (PROGRAM,)) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"FITQUEUE_URL": stack.url, "FITQUEUE_TOKEN": stack.token, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        env=environment,
        cwd=PROGRAM.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_notice_interrupts,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen[str], start: str) -> list[str]:
    """Return the lines up to the first one that starts like this."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(start):
            return lines
    raise AssertionError(f"{start!r} never came:\n{''.join(lines)}")


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    return json.loads(read_until(process, "{")[-1])


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> dict[str, Any]:
    """Return the result of a run that nothing disturbs."""
    with started(stack, "fit") as process:
        return result_of(process)


def test_a_job_that_was_interrupted_in_epoch_3_and_attached_to_elsewhere_is_like_one_that_was_not(
    stack: Stack, client: fitqueue.Client, undisturbed: dict[str, Any]
) -> None:
    with started(stack, "fit") as process:
        read_until(process, "Epoch 2/30")
        process.send_signal(signal.SIGINT)
        said = "".join(read_until(process, "The history has the epochs"))
        detached = result_of(process)
        job_id = detached["job"]
        assert f'client.attach("{job_id}", model)' in said
        assert f'client.cancel("{job_id}")' in said
        assert 2 <= len(detached["epoch"]) < 30
        process.send_signal(signal.SIGINT)
        assert process.wait() != 0, "a second interrupt ends the program"
        assert process.stdout is not None
        assert process.stdout.read().endswith("KeyboardInterrupt\n")

    with started(stack, "attach", job_id) as process:
        attached = result_of(process)
    assert client.get(job_id).state is JobState.SUCCEEDED

    assert without_job(attached) == without_job(undisturbed)
    seen = len(detached["epoch"])
    assert detached["history"] == {name: values[:seen] for name, values in undisturbed["history"].items()}


def test_an_api_that_is_killed_and_restarted_in_the_middle_changes_nothing(
    stack: Stack, undisturbed: dict[str, Any]
) -> None:
    with started(stack, "fit") as process:
        read_until(process, "Epoch 2/30")
        os.killpg(stack.processes["api"].pid, signal.SIGKILL)
        stack.processes["api"].wait()
        with pytest.raises(httpx.TransportError):
            httpx.get(stack.url, trust_env=False)
        stack._start_process("api")
        assert without_job(result_of(process)) == without_job(undisturbed)


INTERRUPTED_POST = """
import sys
from fitqueue.client.transport import Transport
request, interrupts = Transport.request, []

def interrupted(self, call):
    answer = request(self, call)
    if (call.method, call.path) == ("POST", "/jobs") and not interrupts:
        interrupts.append(1)
        raise KeyboardInterrupt
    return answer

Transport.request = interrupted
sys.argv = ["fit_digits.py", "fit"]
import fit_digits
fit_digits.main()
"""
"""An interrupt comes when the service has the job, and this process has no answer yet."""


def test_an_interrupt_while_the_job_is_submitted_leaves_one_job_that_can_be_followed(
    stack: Stack, client: fitqueue.Client
) -> None:
    before = {job.id for job in client.list()}
    with started(stack, "-c", INTERRUPTED_POST, program=()) as process:
        said = "".join(read_until(process, "The history has the epochs"))
        detached = result_of(process)
    assert {job.id for job in client.list()} - before == {detached["job"]}
    assert f'client.attach("{detached["job"]}", model)' in said
    assert len(detached["epoch"]) < 30
    client.cancel(detached["job"])


def without_job(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "job"}
