"""Jobs that no worker has are changed and moved; others are not."""

from typing import Any

import pytest
from sqlalchemy import select

from fitqueue.errors import InvalidRequest, JobNotChangeable, JobNotFound
from fitqueue.spec import MAX_LABELS, MAX_PRIORITY, parse_change, read_job
from fitqueue.states import EventKind, JobState
from service.db import Database
from service.models import Event, Job, JobLabel
from service.store import job_changes, jobs, waiting_jobs
from service.store.waiting_jobs import QueueFilter
from tests.integration.fixture_types import AdvanceClock, Claim, Perform, Submit
from tests.integration.store.operations import finish, get_job, requeue


def _change(database: Database, job_id: str, by: str | None = None, **fields: Any) -> Job:
    with database.write() as session:
        job_changes.change(session, job_id, parse_change(fields), by)
    with database.read() as session:
        return jobs.get_whole(session, job_id)


def _move(database: Database, job_id: str) -> int:
    """Move a job to the front, and return its priority."""
    with database.write() as session:
        return job_changes.move_to_front(session, job_id).priority


def _events(database: Database, job_id: str) -> list[Event]:
    with database.read() as session:
        return list(session.scalars(select(Event).where(Event.job_id == job_id, Event.kind == EventKind.CHANGED)))


def _labels(database: Database, job_id: str) -> dict[str, str]:
    with database.read() as session:
        return {row.key: row.value for row in session.scalars(select(JobLabel).where(JobLabel.job_id == job_id))}


def _queue(database: Database, pool: str = "default") -> list[str]:
    with database.read() as session:
        return [row.job.id for row in waiting_jobs.list_page(session, QueueFilter(pool), None, 10, 30)[0]]


@pytest.mark.parametrize("state", ["queued", "paused"])
def test_a_change_reaches_the_row_the_spec_and_the_labels(
    database: Database, submit: Submit, perform: Perform, state: str
) -> None:
    job_id = submit(name="old", labels={"team": "a", "kept": "b"}, max_runtime_seconds=60)
    if state == "paused":
        perform("pause", job_id)
    before = get_job(database, job_id)
    job = _change(
        database, job_id, "ada",
        name="new", pool="gpu", priority=7, labels={"team": "c", "more": "d"}, max_runtime_seconds=None,
    )  # fmt: skip
    labels = {"team": "c", "kept": "b", "more": "d"}
    spec = read_job(job.spec)
    assert (job.state, job.version) == (before.state, before.version + 1)
    assert (job.name, job.pool, job.priority, job.max_runtime_seconds) == ("new", "gpu", 7, None)
    assert (spec.name, spec.resources.pool, spec.priority, spec.max_runtime_seconds) == ("new", "gpu", 7, None)
    assert spec.labels == _labels(database, job_id) == labels
    [event] = _events(database, job_id)
    assert event.data["by"] == "ada"
    assert event.data["changes"]["pool"] == {"from": "default", "to": "gpu"}
    assert event.data["changes"]["labels"] == {"from": {"team": "a", "kept": "b"}, "to": labels}
    assert "the priority from 0 to 7" in event.message


def test_in_another_pool_a_job_takes_as_long_as_the_jobs_there(database: Database, submit: Submit) -> None:
    moved, there = submit(), submit(resources={"pool": "gpu"})
    assert get_job(database, moved).timing_key != get_job(database, there).timing_key
    assert _change(database, moved, pool="gpu").timing_key == get_job(database, there).timing_key


def test_null_restores_defaults_and_removes_labels(database: Database, submit: Submit) -> None:
    job_id = submit(name="old", labels={"team": "a", "kept": "b"}, priority=5, resources={"pool": "gpu"})
    _change(database, job_id, labels={"team": None}, name=None, priority=None, pool=None)
    job = get_job(database, job_id)
    assert (job.name, job.priority, job.pool, _labels(database, job_id)) == (None, 0, "default", {"kept": "b"})
    _change(database, job_id, labels=None)
    assert _labels(database, job_id) == {}


def test_what_is_so_already_is_not_a_change(database: Database, submit: Submit) -> None:
    job_id = submit(priority=5, labels={"team": "a"})
    before = get_job(database, job_id).version
    assert _change(database, job_id, priority=5, labels={"team": "a", "none": None}).version == before
    assert _change(database, job_id).version == before
    assert _events(database, job_id) == []


def test_more_labels_than_a_job_may_have_are_refused(database: Database, submit: Submit) -> None:
    job_id = submit(labels={f"k{n}": "v" for n in range(MAX_LABELS)})
    with pytest.raises(InvalidRequest) as caught:
        _change(database, job_id, labels={"one": "more"}, priority=1)
    assert caught.value.errors[0].pointer == "/labels"
    assert get_job(database, job_id).priority == 0, "all of it is refused"
    _change(database, job_id, labels={"one": "more", "k0": None})


@pytest.mark.parametrize("state", ["running", "succeeded", "failed", "cancelled"])
def test_a_job_that_a_worker_has_or_that_has_ended_cannot_be_changed(
    database: Database, job_in_state: Any, state: str
) -> None:
    job_id = job_in_state(state)
    before = get_job(database, job_id).version
    for act in (lambda: _change(database, job_id, priority=1), lambda: _move(database, job_id)):
        with pytest.raises(JobNotChangeable, match=state if state == "running" else "ended"):
            act()
    assert get_job(database, job_id).version == before
    with pytest.raises(JobNotFound):
        _change(database, "job_unknown", priority=1)


def test_a_requeued_job_is_changed_and_trained_as_it_was_changed(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job_id = submit()
    requeue(database, claim().lease)
    _change(database, job_id, max_runtime_seconds=60, pool="gpu")
    claimed = claim(pools=("gpu",))
    assert (claimed.spec["max_runtime_seconds"], claimed.spec["resources"]["pool"]) == (60, "gpu")
    assert finish(database, claimed.lease)


def test_a_change_does_not_restart_the_wait(database: Database, submit: Submit, advance_clock: AdvanceClock) -> None:
    job_id = submit()
    advance_clock(100)
    _change(database, job_id, priority=1)
    with database.read() as session:
        [row], _ = waiting_jobs.list_page(session, QueueFilter(), None, 10, 30)
    assert row.since == get_job(database, job_id).created_at


def test_moved_jobs_are_claimed_first(database: Database, submit: Submit, claim: Claim) -> None:
    first, second, third = submit(), submit(priority=3), submit()
    elsewhere = submit(priority=50, resources={"pool": "gpu"})
    assert _queue(database) == [second, first, third]
    assert _move(database, third) == 4, "it is younger than the first of its pool"
    assert _move(database, third) == 4, "it is the first already"
    assert _move(database, first) == 4, "it is older than the first"
    assert _queue(database) == [first, third, second]
    assert _move(database, elsewhere) == 50
    assert claim().lease.job_id == first


def test_nothing_goes_before_the_highest_priority(database: Database, submit: Submit, perform: Perform) -> None:
    older, top, younger = submit(), submit(priority=MAX_PRIORITY), submit()
    assert _move(database, older) == MAX_PRIORITY
    with pytest.raises(JobNotChangeable, match=older):
        _move(database, younger)
    perform("pause", older)
    perform("pause", top)
    assert _move(database, younger) == 0, "only those in the queue count"
    assert get_job(database, younger).state is JobState.QUEUED
