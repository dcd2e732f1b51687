"""The position of queued jobs, and what they wait for. tests/unit/service/test_queue_position.py has every wording."""

import random
from dataclasses import replace

import pytest

from fitqueue.states import Reason
from fitqueue.views import QueuePosition
from service.db import Database
from service.store import job_details, job_list, jobs, queue_position, workers
from service.store.job_list import Filter
from service.store.retry_policy import OUTAGE_DELAY_SECONDS, AttemptFailure
from tests.integration.fixture_types import AdvanceClock, Claim, Submit
from tests.integration.store.operations import KILLED, expire_leases, fail_attempt, get_job, requeue


def _position(database: Database, job_id: str) -> QueuePosition:
    with database.read() as session:
        return queue_position.read(session, [jobs.get(session, job_id)], 30)[job_id]


def _register(
    database: Database, worker: str, pools: tuple[str, ...] = ("default",), gpus: tuple[str, ...] = ()
) -> None:
    with database.write() as session:
        workers.register(session, worker, host="h", pools=pools, slots=1, devices=[], gpus=gpus)


def test_what_a_job_waits_for_depends_on_the_live_workers_of_its_pool(
    database: Database, submit: Submit, advance_clock: AdvanceClock
) -> None:
    first, one_gpu, other_pool = (
        submit(),
        submit(resources={"gpus": 1}, priority=1),
        submit(resources={"pool": "large"}),
    )

    def waiting_for(job_id: str) -> tuple[int, str]:
        position = _position(database, job_id)
        return position.position, position.waiting_for

    assert waiting_for(first) == (2, "a worker that serves the pool 'default'; none is alive")
    _register(database, "w1")
    assert waiting_for(first) == (2, "a free worker")
    assert waiting_for(one_gpu) == (1, "1 GPU on one machine; the largest live worker has 0")
    assert waiting_for(other_pool) == (1, "a worker that serves the pool 'large'; none is alive")
    _register(database, "w2", gpus=("GPU-a", "GPU-b"))
    assert waiting_for(one_gpu) == (1, "a worker with 1 GPU free")
    with database.write() as session:
        workers.sign_off(session, "w2")
    assert waiting_for(one_gpu) == (1, "1 GPU on one machine; the largest live worker has 0")
    advance_clock(31)
    assert waiting_for(first) == (2, "a worker that serves the pool 'default'; none is alive"), "w1 has been silent"
    with database.write() as session:
        assert workers.heartbeat(session, "w1", devices=[], gpus=[])
    assert waiting_for(first) == (2, "a free worker")


def test_a_page_of_jobs_has_the_position_of_each(database: Database, submit: Submit) -> None:
    ids = [submit(priority=n) for n in range(4)]
    with database.read() as session:
        rows, _ = job_list.list_page(session, Filter(), None, 10)
        details = job_details.read_all(session, rows, 30)
    positions = {job.job.id: job.queue and job.queue.position for job in details}
    assert positions == {ids[3]: 1, ids[2]: 2, ids[1]: 3, ids[0]: 4}


def test_a_page_of_several_pools_and_priorities(database: Database, submit: Submit) -> None:
    """Of any page, each position is the one that sorting the whole queue gives."""
    rng = random.Random(1)
    queue = [(f"pool{rng.randint(0, 2)}", rng.randint(-1, 1)) for _ in range(40)]
    ids = [submit(priority=priority, resources={"pool": pool}) for pool, priority in queue]
    expected = {
        ids[n]: 1 + sum(other == pool and (-p, m) < (-priority, n) for m, (other, p) in enumerate(queue))
        for n, (pool, priority) in enumerate(queue)
    }
    for size in (1, 2, 5, 40):
        for _ in range(10):
            page = rng.sample(ids, size)
            with database.read() as session:
                found = queue_position.read(session, [jobs.get(session, job_id) for job_id in page], 30)
            assert {job_id: position.position for job_id, position in found.items()} == {i: expected[i] for i in page}


# --- While a job pauses after a failed attempt ------------------------------------------------------------------------

FULL_DISK = AttemptFailure(
    "A checkpoint could not be stored: [Errno 28] No space left on device", Reason.STORAGE_FAILED, "last line"
)
FAILED_DOWNLOAD = AttemptFailure(
    "The data could not be loaded: [Errno -2] Name or service not known", Reason.INVALID_DATA, "last line"
)


def _expected(database: Database, job_id: str, why: str) -> str:
    not_before = get_job(database, job_id).not_before
    return f"its next attempt at {not_before:%Y-%m-%dT%H:%M:%SZ}; the last one failed: {why}"


@pytest.mark.parametrize("failure", [FULL_DISK, FAILED_DOWNLOAD], ids=["full disk", "failed download"])
def test_a_pausing_job_names_the_failure_of_its_last_attempt(
    failure: AttemptFailure, database: Database, submit: Submit, claim: Claim
) -> None:
    job_id = submit()
    _register(database, "w1")
    fail_attempt(database, claim().lease, failure)
    assert _position(database, job_id).waiting_for == _expected(database, job_id, failure.why)


def test_a_pausing_job_names_the_worker_that_was_lost(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    job_id = submit()
    for _ in range(2):  # only the second failure at one position is followed by a pause
        claim("w1", seconds=1)
        advance_clock(2)
        expire_leases(database)
    _register(database, "w2")
    expected = _expected(database, job_id, "The worker w1 was silent for too long")
    assert _position(database, job_id).waiting_for == expected


def test_a_pausing_job_names_the_newest_of_several_failures(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    job_id = submit()
    _register(database, "w1")
    fail_attempt(database, claim().lease, KILLED)
    requeue(database, claim().lease)
    fail_attempt(database, claim().lease, replace(FULL_DISK, reason=None))
    assert _position(database, job_id).waiting_for == _expected(database, job_id, FULL_DISK.why)
    advance_clock(OUTAGE_DELAY_SECONDS)
    _register(database, "w1")
    assert _position(database, job_id).waiting_for == "a free worker"
