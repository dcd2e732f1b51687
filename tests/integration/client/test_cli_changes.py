"""The commands that change and move waiting jobs, and drain workers, with a real service."""

from typing import Any

import pytest

from fitqueue.client import Client
from fitqueue.errors import JobNotChangeable


def test_jobs_are_moved_and_changed(run: Any, job: dict[str, Any], client: Client) -> None:
    first, second, third = (client.submit(job).id for _ in range(3))
    place = "queued, no. 1 of the pool default, priority"
    assert run("move", third, second, "--first") == (0, "", f"{second}: {place} 1\n{third}: {place} 2\n")
    assert [row.id for row in client.queue()] == [third, second, first]
    assert run("move", first, "--pool", "gpu", "--priority", "-3")[0] == 0
    changed = client.get(first)
    assert (changed.pool, changed.priority) == ("gpu", -3)
    arguments = ["--name", "new", "--label", "a=b", "--label", "c=d=e", "--max-runtime", "60", "--max-queued", "3600"]
    assert run("change", first, *arguments)[0] == 0
    assert run("change", first, "--no-label", "a", "--max-runtime", "none", "--name", "")[0] == 0
    job_view = client.get(first)
    assert (job_view.name, job_view.labels) == (None, {"c": "d=e"})
    assert (job_view.spec["max_runtime_seconds"], job_view.spec["max_queued_seconds"]) == (None, 3600)


def test_a_job_that_waits_is_made_preemptible_and_back(run: Any, job: dict[str, Any], client: Client) -> None:
    job_id = client.submit(job).id
    place = "queued, no. 1 of the pool default, priority 0"
    assert run("change", job_id, "--preemptible") == (0, "", f"{job_id}: {place}, preemptible\n")
    assert client.get(job_id).preemptible
    assert run("change", job_id, "--no-preemptible") == (0, "", f"{job_id}: {place}\n")
    assert not client.get(job_id).preemptible


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["move", "job_none"], "Say where to"),
        (["move", "job_none", "--first", "--priority", "1"], "exclude each other"),
        (["change", "job_none"], "Say what to change"),
        (["change", "job_none", "--label", "a"], "KEY=VALUE"),
        (["change", "job_none", "--max-runtime", "soon"], "soon"),
        (["drain", "none"], "There is no live worker 'none'"),
        (["drain", "none", "--end", "--wait"], "does not go with"),
    ],
)
def test_what_cannot_be_done_is_refused(run: Any, arguments: list[str], message: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (3, "")
    assert message in err


def test_a_running_job_is_not_moved(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    running = client.submit(job).id
    service.claim()
    code, _, err = run("move", running, "--first")
    assert code == 3
    assert "only a job that is queued or paused can be changed" in err
    with pytest.raises(JobNotChangeable):
        client.change(running, name="new")


def test_a_worker_is_drained(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    client.submit(job)
    worker = service.claim()
    code, _, err = run("drain", "gpu-box", "--timeout", "600")
    assert code == 0
    assert err.startswith("gpu-box: draining, 1 job until ")
    assert "draining" in run("workers")[1]
    worker.finish()
    assert run("drain", "wk_", "--wait") == (0, "", "wk_: drained\n")
    assert run("drain", "wk_1", "--end") == (0, "", "wk_1: claims jobs again\n")
    assert client.workers()[0].draining_since is None
