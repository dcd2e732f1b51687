"""`fitqueue usage`, `client.usage` and `client.diff`, with a real service."""

import json
from typing import Any

import pytest

from fitqueue.client import Client
from fitqueue.errors import JobNotFound
from service.store import leases
from service.store.usage import MeasuredUse

HOURS = 3600


@pytest.fixture
def worker(job: dict[str, Any], service: Any, client: Client) -> Any:
    """The worker of a job that has computed for an hour in its first attempt."""
    client.submit({**job, "name": "measured"})
    worker = service.claim()
    with service.database.write() as session:
        leases.renew(session, worker.lease, 30.0, MeasuredUse(2 * HOURS, 1_500_000_000, 0))
    worker.checkpoint(["best", "last"], 1, b"weights" * 1000, 1.0)
    return worker


def facts(out: str) -> dict[str, str]:
    return {line[:13].strip(): line[13:].strip() for line in out.splitlines()}


def test_usage_is_shown_in_time_and_bytes(run: Any, worker: Any) -> None:
    code, out, err = run("usage", "measured")
    assert (code, err) == (0, "")
    shown = facts(out)
    assert list(shown) == ["Job", "Ran", "CPU time", "Peak memory", "Stored"], "what was not measured is left out"
    assert (shown["CPU time"], shown["Peak memory"]) == ("2:00:00", "1.5 GB")
    assert shown["Stored"] == "7.0 kB (checkpoints 7.0 kB)"


def test_of_several_attempts_the_last_one_is_shown_too(run: Any, worker: Any, service: Any, client: Client) -> None:
    worker.requeue()
    second = service.claim()
    with service.database.write() as session:
        leases.renew(session, second.lease, 30.0, MeasuredUse(HOURS, 1_000_000_000, 0))
    shown = facts(run("usage", "measured")[1])
    assert shown["CPU time"] == "3:00:00 (1:00:00 in attempt 2)"
    assert shown["Peak memory"] == "1.5 GB (1.0 GB in attempt 2)"
    usage = client.usage(worker.lease.job_id)
    assert (usage.attempt, usage.all_attempts.cpu_seconds, usage.last_attempt.cpu_seconds) == (2, 3 * HOURS, HOURS)
    printed = json.loads(run("usage", "measured", "--json")[1])
    assert printed["all_attempts"]["peak_memory_bytes"] == 1_500_000_000


def test_the_client_compares_two_jobs(client: Client, job: dict[str, Any]) -> None:
    a, b = (client.submit({**job, "seed": 1, "fit": {"epochs": epochs}}).id for epochs in (4, 8))
    diff = client.diff(a, b)
    assert [(row.pointer, row.values) for row in diff.differences] == [("/fit/epochs", {a: 4, b: 8})]
    with pytest.raises(JobNotFound, match="job_none"):
        client.diff(a, "job_none")


def test_use_is_shown_by_user_and_by_project(run: Any, worker: Any, client: Client) -> None:
    code, out, err = run("usage")
    assert (code, err) == (0, "")
    heading, user, _, heading_of_projects, project = out.splitlines()
    assert heading.split() == ["USER", "CPU", "TIME", "STORED", "JOBS"]
    assert heading_of_projects.split()[0] == "PROJECT"
    assert user.split() == ["admin", "2:00:00", "7.0", "kB", "1"]
    assert project.split() == ["lab", "2:00:00", "7.0", "kB", "1"]
    printed = json.loads(run("usage", "--json")[1])
    assert printed["user"] == [client.usage_by("user")[0].model_dump()]
    assert printed["project"][0]["stored_bytes"] == 7000
