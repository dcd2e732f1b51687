"""The commands that change jobs, with a real service."""

import json
import re
import threading
from typing import Any

import pytest

from fitqueue.client import Client
from fitqueue.states import JobState, Reason


def test_cancel_and_delete(run: Any, job: dict[str, Any], client: Client) -> None:
    ids = [client.submit(job).id for _ in range(2)]
    assert run("cancel", *ids) == (0, "", f"{ids[0]}: cancelled\n{ids[1]}: cancelled\n")
    assert run("delete", *ids)[0] == 0
    assert list(client.list()) == []
    code, _, err = run("cancel", ids[0])
    assert code == 3
    assert ids[0] in err or "no job" in err


def test_a_running_job_is_asked_to_stop(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    submitted = client.submit(job)
    service.claim()
    assert run("cancel", submitted.id)[2] == f"{submitted.id}: asked to stop\n"
    assert run("delete", submitted.id)[0] == 3


def test_pause_and_resume(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    waiting, running = (client.submit(job).id for _ in range(2))
    assert run("pause", waiting) == (0, "", f"{waiting}: paused\n")
    worker = service.claim()
    for _ in range(2):
        assert run("pause", running, waiting) == (0, "", f"{running}: asked to pause\n{waiting}: paused\n")
    assert ["State", "paused"] in [line.split() for line in run("show", waiting)[1].splitlines()]
    assert [row["id"] for row in json.loads(run("jobs", "--json", "--state", "paused")[1])] == [waiting]
    for _ in range(2):
        assert run("resume", running, waiting) == (0, "", f"{running}: running\n{waiting}: queued\n")
    worker.finish()
    for command in ("pause", "resume"):
        code, out, err = run(command, running)
        assert (code, out) == (3, "")
        assert err == f"Error: The job {running} has already succeeded (completed).\n"
        assert run(command, "job_none")[0] == run(command)[0] == 3


def test_a_job_that_makes_room_says_so(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    idle = client.submit({**job, "preemptible": True}).id
    worker = service.claim()
    assert "Makes room" not in run("show", idle)[1]
    worker.ask_to_make_room()
    assert re.search(r"Makes room +since \d{4}-", run("show", idle)[1])
    worker.make_room()
    shown = " ".join(run("show", idle)[1].split())
    assert "waiting for idle devices again: it made room for another job, and goes on by itself" in shown
    assert "Makes room" not in shown
    assert re.search(r"PRIORITY.*\n.* preemptible .*made room", run("queue")[1])


def test_an_error_for_one_job_does_not_keep_the_others_from_being_paused(
    run: Any, job: dict[str, Any], client: Client
) -> None:
    first, second = (client.submit(job).id for _ in range(2))
    code, _, err = run("pause", first, "job_none", second)
    assert (code, err) == (3, f"{first}: paused\nError: There is no job 'job_none'.\n{second}: paused\n")


@pytest.fixture
def ended(job: dict[str, Any], service: Any, client: Client) -> str:
    """A job that was stopped after the first of its three epochs."""
    submitted = client.submit(job)
    worker = service.claim()
    worker.epoch(1, 0.5)
    worker.snapshot(1)
    worker.finish(Reason.EARLY_STOPPED)
    return submitted.id


def test_extend_adds_epochs_from_where_a_job_stopped(run: Any, ended: str, client: Client) -> None:
    remark = f"{ended}: queued, will train until epoch 3. Follow it: fitqueue watch {ended}\n"
    for _ in range(2):
        assert run("extend", ended, "--epochs", "2") == (0, "", remark)
    code, out, err = run("extend", ended, "--epochs", "3")
    assert (code, out) == (3, "")
    assert "it can be extended when it has ended" in err
    assert client.get(ended).progress.epochs == 1 + 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["job_none", "--epochs", "1"], "no job"),
        (["job_none"], "Missing option '--epochs'"),
        (["--epochs", "1"], "Missing argument 'JOB'"),
        (["job_none", "--epochs", "0"], "0 is not in the range x>=1"),
        (["job_none", "--epochs", "many"], "'many' is not a valid integer"),
        ([f"job_{'0' * 24}", "--epochs", "2000000"], "/epochs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_invalid_extension_is_refused(run: Any, arguments: list[str], message: str) -> None:
    code, out, err = run("extend", *arguments)
    assert (code, out) == (3, "")
    assert message in err


@pytest.mark.parametrize(
    ("reason", "code"), [(Reason.COMPLETED, 0), (Reason.OUT_OF_MEMORY, 1), (Reason.CANCELLED_BY_USER, 2)]
)
def test_extend_and_wait_shows_the_whole_training(
    run: Any, ended: str, service: Any, client: Client, reason: Reason, code: int
) -> None:
    def play() -> None:
        while client.get(ended).state is not JobState.QUEUED:
            pass
        worker = service.claim()
        worker.epoch(2, 0.25)
        worker.finish(reason, "The training ended.")

    training = threading.Thread(target=play)
    training.start()
    exit_code, out, _ = run("extend", ended, "--epochs", "2", "--wait")
    training.join()
    lines = [line.split() for line in out.splitlines()]
    assert exit_code == code
    assert [line[:2] for line in lines if line[:1] == ["epoch"]] == [["epoch", "1/3"], ["epoch", "2/3"]]
    assert ["Reason", str(reason)] in lines
    assert ["Attempts", "2"] in lines
