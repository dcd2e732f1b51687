"""What the command line says of jobs that are kept, and of what was removed, with a real service."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from fitqueue.client import Client
from fitqueue.errors import Expired
from fitqueue.retention import Retention
from service.models import LAB_ID, Job
from service.store import removals, retention


@pytest.fixture
def ended(job: dict[str, Any], service: Any, client: Client) -> str:
    """The id of a job that ended a hundred days ago."""
    submitted = client.submit({**job, "name": "old"})
    worker = service.claim()
    worker.log("Epoch 1")
    worker.checkpoint(["best", "last"], 1, b"weights", 1.0)
    worker.artifact("log.csv", b"a,b")
    worker.finish()
    with service.database.write() as session:
        finished_at = client.get(submitted.id).finished_at
        assert finished_at is not None
        earlier = finished_at - timedelta(days=100)
        session.execute(update(Job).where(Job.id == submitted.id).values(finished_at=earlier))
    return submitted.id


def remove(service: Any) -> None:
    with service.database.write() as session:
        policy = Retention(logs_days=30, events_days=30, checkpoints_days=30, artifacts_days=30)
        retention.set(session, LAB_ID, policy)
    for _ in range(5):
        with service.database.write() as session:
            removals.remove_some(session)


def test_removed_results_say_why(run: Any, ended: str, service: Any, client: Client, tmp_path: Path) -> None:
    remove(service)
    by = "removed after 30 days by the retention of the project lab."
    shown = run("show", "old")[1]
    assert f"The checkpoints were {by}" in shown
    code, _, err = run("weights", "old")
    assert code == 3
    assert f"The checkpoints were {by}" in err
    assert run("logs", "old") == (0, "", f"The log was {by}\n")
    assert run("checkpoints", "old")[2] == f"The checkpoints were {by}\n"
    assert run("artifacts", "old")[2] == f"The artifacts were {by}\n"
    assert f"The log was {by}" in run("events", "old")[1]
    with pytest.raises(Expired):
        client.download(ended, "best", tmp_path / "best.weights.h5")


def test_a_job_that_is_kept_loses_nothing(run: Any, ended: str, service: Any, client: Client) -> None:
    assert run("change", "old", "--keep") == (0, "", "old: succeeded, kept\n")
    remove(service)
    assert client.get(ended).removed == []
    assert "whatever the retention of its project says" in run("show", "old")[1]
    assert run("logs", "old")[1] == "Epoch 1\n"
    assert run("change", "old", "--no-keep") == (0, "", "old: succeeded, not kept\n")
    assert run("change", "old", "--keep", "--name", "new")[0] == 3
    remove(service)
    assert len(client.get(ended).removed) == 4
