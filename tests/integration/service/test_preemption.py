"""What the API and the page of a job say of a preemptible job that makes room for another one."""

from flask.testing import FlaskClient

from fitqueue.states import JobState
from fitqueue.views import JobView, Page, QueuedJob
from service.db import Database
from service.store import attempt_outcomes, preemption, workers
from tests.integration.fixture_types import Claim, Submit


def test_a_job_that_is_asked_to_make_room_says_so_until_it_is_back(
    http: FlaskClient, database: Database, submit: Submit, claim: Claim
) -> None:
    def read() -> JobView:
        return JobView.model_validate_json(http.get(f"/api/v1/jobs/{idle}").data)

    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=1, devices=[], gpus=[])
    idle = submit(preemptible=True)
    lease = claim().lease
    assert read().preempt_requested_at is None
    etag = http.get(f"/api/v1/jobs/{idle}").headers["ETag"]
    submit()
    with database.write() as session:
        assert preemption.request(session, 30.0) == [idle]
    asked = read()
    assert (asked.state, asked.preempt_requested_at is not None) == (JobState.RUNNING, True)
    assert http.get(f"/api/v1/jobs/{idle}", headers={"If-None-Match": etag}).status_code == 200
    assert "it makes room for another job, and goes on by itself." in http.get(f"/jobs/{idle}").text
    with database.write() as session:
        attempt_outcomes.requeue(session, lease, "The job made room.", preempted=True)
    waits = read()
    assert (waits.state, waits.preempt_requested_at) == (JobState.QUEUED, None)
    again = "idle devices again: it made room for another job, and goes on by itself"
    assert waits.queue is not None
    assert waits.queue.waiting_for == again
    queue = Page[QueuedJob].model_validate_json(http.get("/api/v1/queue").data).data
    assert [(row.preemptible, row.waiting_for) for row in queue] == [(False, "a free worker"), (True, again)]
    assert again in http.get("/queue").text
