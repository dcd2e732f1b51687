"""Lines of a worker's log that are about a job name the job and the attempt."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fitqueue.states import JobState
from service.db import Database
from service.models import Job
from service.processes import free_port
from service.store.leases import Lease
from workers.supervisor.lease_renewer import LeaseRenewer

# TensorFlow's libraries print these lines when they are imported, whatever TF_CPP_MIN_LOG_LEVEL says.
TENSORFLOW_LINE = re.compile(r"WARNING: All log messages before absl|I0000 .*oneDNN")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def broken_database(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "broken.db"
    path.write_text("This is not a database, and it is longer than the header of one. " * 9)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


def test_each_line_is_json_and_lines_about_a_job_name_job_and_attempt(
    database: Database, database_url: str, tmp_path: Path, run_worker: Any, submit: Callable[..., str],
    until: Callable[..., Any], look_at: Callable[[Database, str], Job],
) -> None:  # fmt: skip
    settings = {"database_url": database_url, "redis_url": f"redis://127.0.0.1:{free_port(0)}/0"}
    with run_worker(database, tmp_path, **settings) as worker:
        job_id = submit()
        until(lambda: look_at(database, job_id).state is JobState.SUCCEEDED)
        assert worker.stop() == 0
        lines = [json.loads(line) for line in worker.log.read_text().splitlines() if not TENSORFLOW_LINE.match(line)]
    by_message = {line["message"]: line for line in lines}
    for message in ("A job was claimed.", "The job ended."):
        assert (by_message[message]["job"], by_message[message]["attempt"]) == (job_id, 1)
    assert "job" not in by_message["The worker stops and requeues its jobs."]


def test_the_thread_of_the_lease_renewer_names_the_job(
    broken_database: Database, log_lines: list[str], until: Callable[..., Any]
) -> None:
    lease = Lease("job_1", attempt=3, worker_id="wk_1")
    with LeaseRenewer(broken_database, lease, lease_seconds=0.3, hang_timeout=60.0):
        until(lambda: log_lines)
    line = json.loads(log_lines[0])
    assert line["message"].startswith("The lease cannot be renewed")
    assert (line["job"], line["attempt"]) == ("job_1", 3)
