"""Limits of users and projects at the claim: who is at a limit waits, and others overtake them."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from fitqueue.roles import Role
from fitqueue.states import JobState, Reason
from service.db import Database
from service.models import LAB_ID, Job, Project, User
from service.store import attempt_outcomes, claim_limits, holders, jobs, leases, projects, queue_position, users
from service.store.gpus import VisibleGPU
from tests.integration.fixture_types import AdvanceClock, MakeSpec, RegisterWorker, TryClaim
from tests.integration.store.operations import FOUR_GPUS, finish
from tests.integration.store.test_gpu_reservation import LONGER_THAN_THE_DELAY
from tests.waiting import until

SubmitFor = Callable[..., str]


@pytest.fixture
def submit_for(database: Database, make_spec: MakeSpec) -> SubmitFor:
    """A function that stores a job of a user, whom it creates if need be, and returns its id."""

    def submit(user: str, gpus: int = 0, project: str = "lab", **fields: Any) -> str:
        with database.write() as session:
            owner = users.find(session, user) or users.create(session, user, Role.MEMBER)
            of_project = projects.find(session, project) or projects.create(session, project)
            spec = make_spec(**fields, resources={"gpus": gpus})
            return jobs.create(session, spec, [], owner_id=owner.id, project_id=of_project.id).id

    return submit


def limit_user(database: Database, name: str, **limits: int) -> None:
    with database.write() as session:
        user = users.find(session, name) or users.create(session, name, Role.MEMBER)
        user.limits = limits


def limit_project(database: Database, name: str, **limits: int) -> None:
    with database.write() as session:
        project = projects.find(session, name) or projects.create(session, name)
        project.limits = limits


def waiting_for(database: Database, job_id: str) -> str:
    with database.read() as session:
        return queue_position.read_waits(session, [jobs.get(session, job_id)], 30)[job_id]


def test_a_user_at_the_limit_of_running_jobs_is_overtaken(
    database: Database, submit_for: SubmitFor, try_claim: TryClaim, register_worker: RegisterWorker
) -> None:
    limit_user(database, "ada", running_jobs=2)
    hers = [submit_for("ada") for _ in range(3)]
    his = submit_for("bob")
    register_worker("w1")
    claimed = [try_claim() for _ in range(4)]
    assert [each.lease.job_id if each else None for each in claimed] == [hers[0], his, hers[1], None]
    assert waiting_for(database, hers[2]) == "a place: ada runs 2 of at most 2 jobs"
    assert claimed[0] is not None
    finish(database, claimed[0].lease, Reason.COMPLETED)
    assert waiting_for(database, hers[2]) == "a free worker"
    third = try_claim()
    assert third is not None
    assert third.lease.job_id == hers[2]


def test_the_jobs_of_all_users_count_for_the_limit_of_a_project(
    database: Database, submit_for: SubmitFor, try_claim: TryClaim, register_worker: RegisterWorker
) -> None:
    limit_project(database, "vision", running_jobs=1)
    first, second = submit_for("ada", project="vision"), submit_for("bob", project="vision")
    elsewhere = submit_for("bob")
    register_worker("w1")
    claimed = [try_claim() for _ in range(3)]
    assert [each.lease.job_id if each else None for each in claimed] == [first, elsewhere, None]
    assert waiting_for(database, second) == "a place: the project 'vision' runs 1 of at most 1 job"


def test_a_user_gets_no_more_gpus_than_the_limit(
    database: Database, submit_for: SubmitFor, try_claim: TryClaim, register_worker: RegisterWorker
) -> None:
    limit_user(database, "ada", gpus=2)
    one, two, without, another = (submit_for("ada", gpus) for gpus in (1, 2, 0, 1))
    his = submit_for("bob", 1)
    register_worker("w1")
    claimed = [try_claim(gpus=FOUR_GPUS) for _ in range(5)]
    assert [each.lease.job_id if each else None for each in claimed] == [one, his, without, another, None]
    assert waiting_for(database, two) == "2 GPUs: ada uses 2 of at most 2 GPUs"


def test_no_gpus_are_reserved_for_a_job_whose_owner_is_at_a_limit(
    database: Database,
    submit_for: SubmitFor,
    try_claim: TryClaim,
    register_worker: RegisterWorker,
    advance_clock: AdvanceClock,
) -> None:
    limit_user(database, "ada", running_jobs=1)
    submit_for("ada", 1)
    assert try_claim(gpus=FOUR_GPUS, seconds=600) is not None
    submit_for("ada", 4)
    advance_clock(LONGER_THAN_THE_DELAY)
    his = submit_for("bob", 1)
    register_worker("w1")
    claimed = try_claim(gpus=FOUR_GPUS)
    assert claimed is not None
    assert claimed.lease.job_id == his


def test_two_claims_at_once_do_not_exceed_a_limit(database: Database, submit_for: SubmitFor) -> None:
    assert _claim_twice_at_once(database, submit_for) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
def test_without_the_lock_two_claims_at_once_do(
    database: Database, submit_for: SubmitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: it does on PostgreSQL, when nobody waits for the other claim."""
    monkeypatch.setattr(holders, "lock", lambda _session, limited: list(limited))
    assert _claim_twice_at_once(database, submit_for) == 2


def _claim_twice_at_once(database: Database, submit_for: SubmitFor) -> int:
    """Begin a claim while another one is not committed yet; return how many jobs run then."""
    limit_user(database, "ada", running_jobs=1)
    limit_project(database, "lab", running_jobs=5)
    for _ in range(2):
        submit_for("ada")

    def claim_in_thread() -> object:
        with database.write() as session:
            return leases.claim(session, "w2", ["default"], [], 30)

    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            assert leases.claim(session, "w1", ["default"], [], 30) is not None
            second = pool.submit(claim_in_thread)
            if session.get_bind().dialect.name != "sqlite":
                until(lambda: second.done() or _is_waiting(database), 120, "the second claim does not wait")
        second.result(120)
    with database.read() as session:
        return len(session.scalars(select(Job.id).where(Job.state == JobState.RUNNING)).all())


def _is_waiting(database: Database) -> bool:
    with database.read() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


# --- Any interleaving ----------------------------------------------------------------------------------------------

USERS = ("ada", "bob", "cyd")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("claim"), st.just(0), st.just(0)),
        st.tuples(st.just("finish"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("limit"), st.integers(0, 3), st.integers(0, 3)),
    ),
    min_size=5,
    max_size=40,
)
GPUS = [VisibleGPU(f"GPU-{number}") for number in range(6)]


def _run(database: Database, make_spec: MakeSpec, steps: list[tuple[str, int, int]]) -> None:
    """Perform the steps in a transaction that is rolled back; check each claim against the limits."""
    specs = [make_spec(resources={"gpus": gpus}) for gpus in range(4)]
    with suppress(_Done), database.write() as session:
        owners = [users.create(session, name, Role.MEMBER) for name in USERS]
        lab = session.get_one(Project, LAB_ID)
        for action, number, amount in steps:
            if action == "submit":
                jobs.create(session, specs[amount], [], owner_id=owners[number].id)
            elif action == "limit":
                held = [*owners, lab][number]
                held.limits = {"running_jobs": 3 - amount, "gpus": amount + 1}
                session.flush()
            elif action == "claim":
                _claim(session)
            else:
                _finish(session, number)
        raise _Done


class _Done(Exception):
    """The steps are over."""


def _claim(session: Session) -> None:
    free = [gpu for gpu in GPUS if gpu.uuid not in _held(session)]
    startable = _startable(session, len(free))
    claimed = leases.claim(session, "w1", ["default"], GPUS, 30)
    assert (claimed is None) == (not startable), "a job waits for no reason, or runs although it must wait"
    if claimed is not None:
        assert claimed.lease.job_id == startable[0], "the first that may run is claimed"


def _held(session: Session) -> set[str]:
    return set(session.scalars(text("SELECT gpu_uuid FROM gpu_claims")))


def _startable(session: Session, free: int) -> list[str]:
    """Return the queued jobs that fit the limits, by the rule itself: no SQL counts here."""
    running = session.scalars(select(Job).where(Job.state == JobState.RUNNING)).all()
    limits = {row.id: row.limits or {} for table in (User, Project) for row in session.scalars(select(table))}

    def fits(job: Job) -> bool:
        for column in ("owner_id", "project_id"):
            holder = getattr(job, column)
            others = [other.gpus for other in running if getattr(other, column) == holder]
            if len(others) + 1 > limits[holder].get("running_jobs", 99):
                return False
            if job.gpus and sum(others) + job.gpus > limits[holder].get("gpus", 99):
                return False
        return job.gpus <= free

    queued = session.scalars(select(Job).where(Job.state == JobState.QUEUED).order_by(Job.id))
    return [job.id for job in queued if fits(job)]


def _finish(session: Session, number: int) -> None:
    running = session.scalars(select(Job).where(Job.state == JobState.RUNNING).order_by(Job.id)).all()
    if running:
        job = running[number % len(running)]
        assert job.worker_id is not None
        attempt_outcomes.finish(session, leases.Lease(job.id, job.attempt, job.worker_id), Reason.COMPLETED, "")


_SETTINGS = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def test_no_limit_is_exceeded_and_nobody_waits_for_no_reason(database: Database, make_spec: MakeSpec) -> None:
    claims: Counter[bool] = Counter()

    @_SETTINGS
    @given(steps=STEPS)
    def check(steps: list[tuple[str, int, int]]) -> None:
        claims[any(action == "claim" for action, _, _ in steps)] += 1
        _run(database, make_spec, steps)

    check()
    assert claims[True] > 10


def test_without_the_limits_the_test_above_fails(
    sqlite_url: str, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_limits, "conditions", lambda _session: [])
    steps = [("limit", 0, 2), ("submit", 0, 1), ("submit", 0, 1), ("claim", 0, 0), ("claim", 0, 0)]
    with pytest.raises(AssertionError, match="although it must wait"):
        _run(Database(sqlite_url), make_spec, steps)
