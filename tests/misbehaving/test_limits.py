"""A training that saves more than the service keeps of a job."""

import dataclasses
from collections.abc import Callable

from fitqueue.states import JobState, Reason
from service.db import Database
from service.job_limits import JobLimits
from service.models import Job
from service.store import checkpoints
from service.store.leases import ClaimedJob
from workers.supervisor.context import WorkerContext
from workers.supervisor.supervisor import Supervisor


def test_too_many_checkpoints_end_the_job(
    make_context: Callable[[str], WorkerContext], submit: Callable[..., str], claim: Callable[[], ClaimedJob],
    view: Callable[[str], Job], database: Database,
) -> None:  # fmt: skip
    job_id = submit()
    context = dataclasses.replace(make_context("saves_many"), limits=JobLimits(checkpoints=5))
    Supervisor(context, claim()).run()
    job = view(job_id)
    assert (job.state, job.reason, job.failed_attempts) == (JobState.FAILED, Reason.LIMIT_REACHED, 0)
    assert job.message is not None
    assert "5 checkpoints" in job.message
    with database.read() as session:
        rows = checkpoints.list_page(session, job_id, None, 100)
    assert {row.name for row in rows} == {f"number {number}" for number in range(1, 6)}
    stored = [path for path in context.work_dir.parent.glob("storage/**/*.h5") if path.is_file()]
    assert len(stored) == 5, "no file is left in the storage without a row"
    assert not context.unsaved_dir.exists(), "nor on the disk of the worker"
