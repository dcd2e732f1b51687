import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from fitqueue.errors import DatasetNotFound, IdempotencyMismatch, JobEnded, JobNotEnded, JobNotFound
from fitqueue.spec import JobSpec
from fitqueue.states import EventKind, JobState, Reason
from fitqueue.views import Notice
from service.db import Database
from service.models import Job
from service.store import actions, checkpoints, events, job_details, jobs, leases, recording, workers
from service.store.jobs import Filter, Idempotency
from service.store.leases import ClaimedJob
from service.store.recording import CheckpointRecord

Submit = Callable[..., str]
Take = Callable[..., ClaimedJob]
MakeSpec = Callable[..., JobSpec]


def _page(database: Database, before: str | None = None, limit: int = 10, **wanted: object) -> list[str]:
    with database.read() as session:
        rows, _ = jobs.list_page(session, Filter(**wanted), before, limit)  # type: ignore[arg-type]
        return [row.id for row in rows]


def test_a_job_comes_back_as_it_was_stored(database: Database, make_spec: MakeSpec) -> None:
    spec = make_spec(name="digits", labels={"team": "vision"}, max_runtime_seconds=60, priority=3)
    notice = Notice(pointer="/model", code="translated", message="understood so")
    with database.write() as session:
        job_id = jobs.create(session, spec, [notice]).id
    with database.read() as session:
        view = job_details.view(session, jobs.get(session, job_id), 30)
    assert (view.id, view.name, view.state, view.attempt, view.priority) == (job_id, "digits", JobState.QUEUED, 0, 3)
    assert (view.labels, view.notices, view.spec) == ({"team": "vision"}, [notice], spec.to_json())
    assert view.created_at.tzinfo is not None
    assert abs((view.created_at - datetime.now(UTC)).total_seconds()) < 60
    assert (view.progress.percent, view.best, view.worker) == (0.0, None, None)


def test_pages_are_stable_while_jobs_come_and_go(database: Database, submit: Submit, take: Take) -> None:
    ids = [submit() for _ in range(5)]
    claimed = take()
    with database.write() as session:
        leases.finish(session, claimed.lease, Reason.COMPLETED, "done")
    with database.read() as session:
        rows, cursor = jobs.list_page(session, Filter(), None, 2)
    assert [row.id for row in rows] == [ids[4], ids[3]]
    assert cursor == ids[3]
    submit()
    with database.write() as session:
        jobs.delete(session, ids[0])
    with database.read() as session:
        rows, cursor = jobs.list_page(session, Filter(), cursor, 2)
    assert ([row.id for row in rows], cursor) == ([ids[2], ids[1]], None)


def test_filters_come_before_the_cut(database: Database, submit: Submit, take: Take) -> None:
    vision = submit(labels={"team": "vision", "kind": "a"}, name="one")
    for _ in range(3):
        submit(labels={"team": "text", "kind": "a"})
    large = submit(resources={"pool": "large"})
    running = take(pools=("large",)).lease.job_id
    assert running == large
    assert _page(database, limit=1, labels=[("team", "vision")]) == [vision]
    assert _page(database, labels=[("team", "vision"), ("kind", "b")]) == []
    assert _page(database, labels=[("team", "vision"), ("team", "text")]) == [], "no job has both"
    assert len(_page(database, labels=[("kind", "a")])) == 4
    assert _page(database, pool="large") == [large]
    assert _page(database, name="one") == [vision]
    assert _page(database, states=[JobState.RUNNING]) == [large]
    assert len(_page(database, states=[JobState.RUNNING, JobState.QUEUED])) == 5
    assert _page(database, states=[JobState.FAILED]) == []


def test_the_same_key_gives_the_same_job(database: Database, make_spec: MakeSpec) -> None:
    def create(key: str, sha256: str, token: str = "tok_1") -> str:
        with database.write() as session:
            return jobs.create(session, make_spec(), [], token_id=token, idempotency=Idempotency(key, sha256)).id

    first = create("k", "a")
    assert create("k", "a") == first
    assert create("other", "a") != first
    assert create("k", "b", token="tok_2") != first, "each token has keys of its own"
    with pytest.raises(IdempotencyMismatch, match=first):
        create("k", "b")
    assert len(_page(database)) == 3


def test_the_same_key_at_the_same_moment(database: Database, make_spec: MakeSpec) -> None:
    spec = make_spec()
    found: list[str] = []
    start = threading.Barrier(8)

    def create() -> None:
        start.wait()
        with database.write() as session:
            found.append(jobs.create(session, spec, [], token_id="t", idempotency=Idempotency("k", "a")).id)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == set(_page(database))
    assert len(set(found)) == 1


def test_a_data_set_that_is_gone_is_told(database: Database, make_spec: MakeSpec) -> None:
    with pytest.raises(DatasetNotFound), database.write() as session:
        jobs.create(session, make_spec(), [], dataset_id="ds_gone")


def test_a_waiting_job_is_cancelled_at_once(database: Database, submit: Submit) -> None:
    job_id = submit()
    for _ in range(2):
        with database.write() as session:
            job = actions.cancel(session, job_id)
            assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)
    with database.read() as session:
        assert [e.kind for e in events.list_after(session, job_id, 0, 9)] == [EventKind.SUBMITTED, EventKind.CANCELLED]


def test_a_running_job_is_asked_to_stop(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit()
    claimed = take()
    wished = []
    for _ in range(2):
        with database.write() as session:
            job = actions.cancel(session, job_id)
            wished.append((job.state, job.cancel_requested_at, job.version))
    assert wished[0] == wished[1]
    assert wished[0][0] is JobState.RUNNING
    assert wished[0][1] is not None
    with database.write() as session:
        assert leases.finish(session, claimed.lease, Reason.CANCELLED_BY_USER, "stopped")
    with database.write() as session:
        assert actions.cancel(session, job_id).state is JobState.CANCELLED


def test_an_ended_job_cannot_be_cancelled(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit()
    claimed = take()
    with database.write() as session:
        leases.finish(session, claimed.lease, Reason.COMPLETED, "done")
    with pytest.raises(JobEnded, match="succeeded"), database.write() as session:
        actions.cancel(session, job_id)


def test_delete_takes_all_of_an_ended_job(database: Database, submit: Submit, take: Take) -> None:
    job_id = submit(labels={"team": "vision"})
    with pytest.raises(JobNotEnded, match="queued"), database.write() as session:
        jobs.delete(session, job_id)
    claimed = take()
    record = CheckpointRecord(
        ["best", "last"], "checkpoints/a/1", "keras", 1, None, {"loss": 1.0}, "loss", 1.0, 5, "0" * 64
    )
    with database.write() as session:
        recording.record_checkpoint(session, claimed.lease, record)
        leases.finish(session, claimed.lease, Reason.COMPLETED, "done")
    with database.write() as session:
        assert jobs.delete(session, job_id) == ["checkpoints/a/1"]
    with database.read() as session:
        for table in ("jobs", "events", "job_labels", "checkpoints"):
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
        for read in (jobs.get, jobs.version, checkpoints.list_all):
            with pytest.raises(JobNotFound):
                read(session, job_id)


def test_what_a_job_waits_for(database: Database, submit: Submit, take: Take, later: Callable[[float], None]) -> None:
    def place(job_id: str) -> tuple[int, str]:
        with database.read() as session:
            queue = job_details.view(session, jobs.get(session, job_id), 30).queue
        assert queue is not None
        return queue.position, queue.waiting_for

    def register(worker: str, pools: list[str], gpus: list[str]) -> None:
        with database.write() as session:
            workers.register(session, worker, host="h", pools=pools, slots=1, devices=[], gpus=gpus)

    first, hungry, large = submit(), submit(resources={"gpus": 1}, priority=1), submit(resources={"pool": "large"})
    assert place(first) == (2, "no worker serves the pool 'default'")
    register("w1", ["default"], [])
    assert place(first) == (2, "a free worker")
    assert place(hungry) == (1, "needs 1 GPU; the largest live worker has 0")
    assert place(large) == (1, "no worker serves the pool 'large'")
    register("w2", ["default"], ["GPU-a", "GPU-b"])
    assert place(hungry) == (1, "a worker with 1 GPU free")
    with database.write() as session:
        workers.stop(session, "w2")
    assert place(hungry)[1] == "needs 1 GPU; the largest live worker has 0"
    later(31)
    assert place(first)[1] == "no worker serves the pool 'default'", "w1 is silent for longer than a lease"
    with database.write() as session:
        assert workers.heartbeat(session, "w1", devices=[], gpus=[])
        assert not workers.heartbeat(session, "w3", devices=[], gpus=[])
    for _ in range(2):  # the second loss at the same place
        take("w1", seconds=1)
        later(2)
        with database.write() as session:
            leases.expire_leases(session)
    assert "job is backing off until 20" in place(first)[1]


def test_a_page_tells_each_job_its_place(database: Database, submit: Submit) -> None:
    ids = [submit(priority=n) for n in range(4)]
    with database.read() as session:
        rows, _ = jobs.list_page(session, Filter(), None, 10)
        places = {view.id: view.queue and view.queue.position for view in job_details.summaries(session, rows, 30)}
    assert places == {ids[3]: 1, ids[2]: 2, ids[1]: 3, ids[0]: 4}


@pytest.mark.parametrize(
    "broken",
    [
        {"state": "done"},
        {"state": JobState.RUNNING},
        {"state": JobState.SUCCEEDED},
        {"finished_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"reason": Reason.COMPLETED},
        {"lease_expires_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"cancel_requested_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"phase": "training"},
        {"epoch": 99},
        {"failed_attempts": 1},
        {"idempotency_key": "k"},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_the_database_refuses_what_cannot_be(database: Database, submit: Submit, broken: dict[str, object]) -> None:
    job_id = submit()
    assignments = ", ".join(f"{column} = :{column}" for column in broken)
    with pytest.raises(IntegrityError, match=r"(?i)check constraint"), database.write() as session:
        session.execute(text(f"UPDATE jobs SET {assignments} WHERE id = :id"), {**broken, "id": job_id})
    with database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(epoch=1))
