"""Users of equal priority go in turns, by what they have used of late and by their shares."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from fitqueue.errors import InvalidRequest, JobNotChangeable
from fitqueue.roles import Role
from fitqueue.spec import JobSpec
from fitqueue.states import JobState
from service import clock
from service.db import Database
from service.forecast.turns import DEFAULT_SECONDS, HALF_LIFE_SECONDS, TurnsBy
from service.models import Event, GPUClaim, Job, Project, TurnUsage, User, Worker
from service.store import job_changes, jobs, leases, waiting_jobs, workers
from service.store.access import Viewer
from service.store.forecasts import Forecaster, make_forecast
from service.store.gpus import VisibleGPU
from service.store.leases import ClaimedJob
from service.store.waiting_jobs import QueueFilter
from tests.integration.fixture_types import AdvanceClock, Claim, MakeSpec, Submit
from tests.integration.store.operations import FOUR_GPUS, finish, get_job, requeue

USERS = ("usr_a", "usr_b", "usr_c", "usr_d", "usr_e")


@pytest.fixture
def users(database: Database) -> tuple[str, ...]:
    with database.write() as session:
        session.add_all(
            User(id=id, name=id.removeprefix("usr_"), role=Role.MEMBER, created_at=clock.now(session)) for id in USERS
        )
    return USERS


@pytest.fixture
def submit_as(database: Database, make_spec: MakeSpec, users: tuple[str, ...]) -> Submit:
    """A function that submits a job of a user."""
    specs: dict[str, JobSpec] = {}

    def submit_as(owner: str, project: str | None = None, **fields: Any) -> str:
        key = repr(fields)
        specs[key] = specs[key] if key in specs else make_spec(**fields)
        with database.write() as session:
            job = jobs.create(session, specs[key], [])
            job.owner_id, job.project_id = owner, project or job.project_id
        return job.id

    return submit_as


def _clock_time(database: Database) -> datetime:
    with database.read() as session:
        return clock.now(session)


def _owner(database: Database, claimed: ClaimedJob) -> str:
    return get_job(database, claimed.lease.job_id).owner_id


def _used(database: Database, by: TurnsBy = TurnsBy.USER) -> dict[str, float]:
    with database.read() as session:
        rows = session.scalars(select(TurnUsage))
        return {
            row.account_id: row.used
            for row in rows
            if row.account_id.startswith("usr_" if by is TurnsBy.USER else "prj_")
        }


def test_slots_that_become_free_at_once_go_to_different_users(
    database: Database, submit_as: Submit, claim: Claim
) -> None:
    for owner in (*["usr_a"] * 4, *["usr_b"] * 4):
        submit_as(owner)
    assert [_owner(database, claim()) for _ in range(8)] == ["usr_a", "usr_b"] * 4


def test_a_user_alone_gets_everything_by_age(database: Database, submit_as: Submit, claim: Claim) -> None:
    ids = [submit_as("usr_a") for _ in range(4)]
    assert [claim().lease.job_id for _ in ids] == ids


def test_priorities_come_before_turns(database: Database, submit_as: Submit, claim: Claim) -> None:
    submit_as("usr_b")
    urgent = [submit_as("usr_a", priority=1) for _ in range(3)]
    assert [claim().lease.job_id for _ in urgent] == urgent
    assert _owner(database, claim()) == "usr_b"


def test_a_share_counts(database: Database, submit_as: Submit, claim: Claim) -> None:
    with database.write() as session:
        session.execute(update(User).where(User.id == "usr_b").values(share=3.0))
    for owner in ("usr_a", "usr_b"):
        for _ in range(6):
            submit_as(owner)
    owners = [_owner(database, claim()) for _ in range(8)]
    assert owners.count("usr_b") == 6


def test_the_truth_replaces_what_a_job_was_charged_and_is_forgotten(
    database: Database, submit_as: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    submit_as("usr_a", resources={"gpus": 2})
    lease = claim(gpus=FOUR_GPUS).lease
    assert _used(database)["usr_a"] == pytest.approx(2 * DEFAULT_SECONDS)
    advance_clock(100)
    assert finish(database, lease)
    assert _used(database)["usr_a"] == pytest.approx(200, rel=0.05)
    assert _used(database, TurnsBy.PROJECT)["prj_lab"] == pytest.approx(200, rel=0.05)
    advance_clock(HALF_LIFE_SECONDS)
    submit_as("usr_a")
    lease = claim().lease
    assert _used(database)["usr_a"] == pytest.approx(100 + 100, rel=0.1), "its jobs take 100 s, as it knows by now"
    advance_clock(10)
    requeue(database, lease)
    assert _used(database)["usr_a"] == pytest.approx(110, rel=0.1)
    claim()
    assert _used(database)["usr_a"] == pytest.approx(210, rel=0.1), "an attempt that was cut short says nothing"


def test_a_job_that_takes_longer_than_expected_counts_more_while_it_runs(
    database: Database, submit_as: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    submit_as("usr_a")
    lease = claim(seconds=1e6).lease
    advance_clock(10 * DEFAULT_SECONDS)
    with database.write() as session:
        assert leases.renew(session, lease, 1e6) is not None
    assert _used(database)["usr_a"] > 10 * DEFAULT_SECONDS
    assert finish(database, lease)
    assert _used(database)["usr_a"] == pytest.approx(10 * DEFAULT_SECONDS, rel=0.05)


@pytest.mark.parametrize("years", [-20, -1, 20])
def test_a_user_may_come_back_after_years_and_the_clock_may_be_set_back(
    years: int, database: Database, submit_as: Submit, claim: Claim
) -> None:
    at = _clock_time(database) - timedelta(days=365 * years)
    with database.write() as session:
        session.add(TurnUsage(account_id="usr_a", used=1e6, used_at=at.timestamp()))
    for owner in ("usr_a", "usr_b"):
        submit_as(owner)
    owners = [_owner(database, claim()) for _ in range(2)]
    assert owners == (["usr_a", "usr_b"] if years > 0 else ["usr_b", "usr_a"])
    expected = 0.0 if years > 0 else 1e6
    assert _used(database)["usr_a"] == pytest.approx(expected + DEFAULT_SECONDS)


def test_turns_go_by_projects_if_they_shall(database: Database, submit_as: Submit) -> None:
    with database.write() as session:
        session.add(Project(id="prj_x", name="x", created_at=clock.now(session)))
    for owner in ("usr_a", "usr_b", "usr_c"):
        submit_as(owner)
    for _ in range(3):
        submit_as("usr_a", "prj_x")
    projects = []
    for _ in range(6):
        with database.write() as session:
            claimed = leases.claim(session, "w1", ["default"], [], 30, TurnsBy.PROJECT)
        assert claimed is not None
        projects.append(get_job(database, claimed.lease.job_id).project_id)
    assert projects == ["prj_lab", "prj_x"] * 3


def test_a_preemptible_job_waits_until_no_other_one_fits(database: Database, submit_as: Submit, claim: Claim) -> None:
    idle = submit_as("usr_a", preemptible=True, priority=50)
    other, large = submit_as("usr_b", priority=-50), submit_as("usr_b", resources={"gpus": 2})
    assert [claim().lease.job_id for _ in range(2)] == [other, idle]
    assert get_job(database, large).state is JobState.QUEUED


def _order(database: Database, limit: int = 100, by: TurnsBy = TurnsBy.USER) -> list[str]:
    """Return the ids of all pages of the queue, and assert that the positions match."""
    ids: list[str] = []
    cursor = None
    while True:
        with database.read() as session:
            forecaster = Forecaster(30.0, by)
            rows, cursor = waiting_jobs.list_page(session, QueueFilter(), cursor, limit, 30.0, forecaster)
        ids += [row.job.id for row in rows]
        assert [row.position for row in rows] == list(range(len(ids) - len(rows) + 1, len(ids) + 1))
        if cursor is None:
            return ids


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queue=st.lists(st.tuples(st.sampled_from(USERS), st.sampled_from([-1, 0, 0, 0, 3]), st.booleans()), max_size=8))
def test_the_queue_is_listed_in_the_order_of_claims(
    queue: list[tuple[str, int, bool]], database: Database, submit_as: Submit, claim: Claim
) -> None:
    _clear(database)
    for owner, priority, preemptible in queue:
        submit_as(owner, priority=priority, preemptible=preemptible)
    listed = _order(database)
    assert _order(database, limit=2) == listed
    assert [claim().lease.job_id for _ in queue] == listed


def test_a_page_goes_on_after_jobs_that_were_claimed(database: Database, submit_as: Submit, claim: Claim) -> None:
    for owner in USERS * 3:
        submit_as(owner)
    with database.read() as session:
        _, cursor = waiting_jobs.list_page(session, QueueFilter(), None, 5, 30.0)
    rest = _order(database)[5:]
    for _ in range(5):
        claim()
    with database.read() as session:
        rows, _ = waiting_jobs.list_page(session, QueueFilter(), cursor, 20, 30.0)
    assert [row.job.id for row in rows] == rest


@pytest.mark.parametrize("share", [5e-324, 1e-20, 1e300])
def test_any_share_gives_turns_and_pages(share: float, database: Database, submit_as: Submit, claim: Claim) -> None:
    with database.write() as session:
        session.execute(update(User).where(User.id == "usr_a").values(share=share))
        session.add(TurnUsage(account_id="usr_a", used=1e6, used_at=clock.now(session).timestamp()))
    for owner in ("usr_a", "usr_a", "usr_b"):
        submit_as(owner)
    listed = _order(database)
    assert _order(database, limit=1) == listed
    assert [claim().lease.job_id for _ in listed] == listed


@pytest.mark.parametrize(
    "cursor", ["0.0.0.job_a.a\x00b", "0.0.0.job_\x00a.ab", "0.0.0.job_a.\ud800", "0.0.0.job_a.a\n"]
)
@pytest.mark.parametrize("owners", [["usr_a"], ["usr_a", "usr_b"]])
def test_a_cursor_with_characters_that_no_id_has_is_invalid(
    cursor: str, owners: list[str], database: Database, submit_as: Submit
) -> None:
    for owner in owners:
        submit_as(owner)
    with database.read() as session, pytest.raises(InvalidRequest, match="parameter is invalid"):
        waiting_jobs.list_page(session, QueueFilter(), cursor, 5, 30.0)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_who_does_not_see_a_project_sees_its_jobs_in_no_page_and_in_the_positions(
    limit: int, database: Database, submit_as: Submit
) -> None:
    with database.write() as session:
        session.add(Project(id="prj_x", name="x", created_at=clock.now(session), is_open=False))
    hers = [submit_as("usr_a") for _ in range(3)]
    his = [submit_as("usr_b", "prj_x") for _ in range(4)]
    assert len(_order(database)) == len(hers) + len(his)
    for viewer, ids in (("usr_a", hers), ("usr_b", hers + his)):
        seen: list[str] = []
        positions: list[int] = []
        cursor = None
        filter = QueueFilter(viewer=Viewer(viewer, frozenset({"prj_x"})))
        while True:
            with database.read() as session:
                rows, cursor = waiting_jobs.list_page(session, filter, cursor, limit, 30.0)
                total = waiting_jobs.count(session, filter)
            seen += [row.job.id for row in rows]
            positions += [row.position for row in rows]
            if cursor is None:
                break
        assert (sorted(seen), total) == (sorted(ids), len(ids))
        assert positions == ([1, 3, 5] if viewer == "usr_a" else [1, 2, 3, 4, 5, 6, 7])
    with database.read() as session:
        rows, _ = waiting_jobs.list_page(session, QueueFilter(owner="b", project="x"), None, 100, 30.0)
    assert [(row.job.id, row.position) for row in rows] == list(zip(his, [2, 4, 6, 7], strict=True))


def test_a_job_that_cannot_be_seen_is_not_named_by_the_one_that_cannot_be_moved_before_it(
    database: Database, submit_as: Submit
) -> None:
    with database.write() as session:
        session.add(Project(id="prj_x", name="x", created_at=clock.now(session), is_open=False))
    hidden = submit_as("usr_b", "prj_x", priority=100)
    job_id = submit_as("usr_a")
    for viewer, named in ((Viewer("usr_a", frozenset({"prj_x"})), "another job, which you do not see"), (None, hidden)):
        with database.write() as session, pytest.raises(JobNotChangeable, match=named) as caught:
            job_changes.move_to_front(session, job_id, "a", **({"viewer": viewer} if viewer else {}))
        assert (hidden in str(caught.value)) is (viewer is None)


def test_a_job_says_why_others_go_first(database: Database, submit_as: Submit, claim: Claim) -> None:
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=1, devices=[], gpus=[])
    submit_as("usr_a"), submit_as("usr_b"), submit_as("usr_a")
    for _ in range(3):
        claim()
    mine = submit_as("usr_a")
    for _ in range(3):
        submit_as("usr_c")
    with database.read() as session:
        rows, _ = waiting_jobs.list_page(session, QueueFilter(), None, 10, 30.0)
        forecast = make_forecast(session, 30.0)
    assert {row.job.id: row.waiting_for for row in rows}[mine] == (
        "a free worker; 2 jobs of others go first: a used 67 % of the last days"
    )
    assert rows[0].waiting_for == "a free worker"
    assert forecast[mine].ahead == 2


def test_a_job_is_moved_before_those_whose_turn_it_is(database: Database, submit_as: Submit, claim: Claim) -> None:
    older, others = submit_as("usr_a"), [submit_as("usr_b") for _ in range(2)]
    del others
    with database.write() as session:
        session.add(TurnUsage(account_id="usr_a", used=1e6, used_at=clock.now(session).timestamp()))
    assert _order(database)[-1] == older
    with database.write() as session:
        assert job_changes.move_to_front(session, older).priority == 1
    assert _order(database)[0] == older
    with database.write() as session:
        assert job_changes.move_to_front(session, older).priority == 1
    assert claim().lease.job_id == older


# --- Over a window, each has its share -------------------------------------------------------------------------------


@dataclass
class _Submitted:
    owner: str
    seconds: float
    gpus: int = 0


class _Simulation:
    """Jobs whose lengths nobody knows before they end, on some slots, through real claims."""

    def __init__(self, database: Database, submit_as: Submit, now: list[datetime]) -> None:
        self._database = database
        self._submit_as = submit_as
        self._now = now
        self._lengths: dict[str, _Submitted] = {}
        self._running: list[tuple[datetime, ClaimedJob]] = []
        self.used: dict[str, float] = defaultdict(float)
        self.claims: list[tuple[str, dict[str, float], set[str]]] = []
        """Who claimed, what each had used by then, and who had jobs waiting."""

    def submit(self, job: _Submitted) -> str:
        fields = {"resources": {"gpus": job.gpus}} if job.gpus else {}
        job_id = self._submit_as(job.owner, **fields)
        self._lengths[job_id] = job
        return job_id

    def run(self, slots: int, gpus: tuple[str, ...] = ()) -> list[str]:
        """Train all jobs; return their ids in the order of claims."""
        order = []
        while True:
            while len(self._running) < slots and (claimed := self._claim(gpus)) is not None:
                order.append(claimed.lease.job_id)
            if not self._running:
                return order
            self._running.sort(key=lambda entry: entry[0])
            ends_at, claimed = self._running.pop(0)
            self._now[0] = max(self._now[0], ends_at)
            assert finish(self._database, claimed.lease)
            job = self._lengths.pop(claimed.lease.job_id)
            self.used[job.owner] += max(1, job.gpus) * job.seconds

    def _claim(self, gpus: tuple[str, ...]) -> ClaimedJob | None:
        running = {claimed.lease.job_id for _, claimed in self._running}
        waiting = {job.owner for job_id, job in self._lengths.items() if job_id not in running}
        with self._database.write() as session:
            if gpus:
                workers.register(session, "w1", host="h", pools=["default"], slots=9, devices=[], gpus=gpus)
            claimed = leases.claim(session, "w1", ["default"], [VisibleGPU(uuid) for uuid in gpus], 1e7)
        if claimed is not None:
            job = self._lengths[claimed.lease.job_id]
            self.claims.append((job.owner, dict(self.used), waiting))
            self._running.append((self._now[0] + timedelta(seconds=job.seconds), claimed))
        return claimed


def _clear(database: Database) -> None:
    with database.write() as session:
        for table in (Event, GPUClaim, Job, TurnUsage, Worker):
            session.execute(delete(table))
        session.execute(update(User).values(share=1.0))


@pytest.fixture
def simulate(
    database: Database, submit_as: Submit, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Mapping[str, float]], _Simulation]:
    """A function that begins a simulation, given the shares of users; time stands still but for the jobs."""
    with database.read() as session:
        now = [clock.now(session)]
    monkeypatch.setattr(clock, "now", lambda _: now[0])

    def begin(shares: Mapping[str, float]) -> _Simulation:
        _clear(database)
        with database.write() as session:
            for user, share in shares.items():
                session.execute(update(User).where(User.id == user).values(share=share))
        return _Simulation(database, submit_as, now)

    return begin


LENGTHS = st.integers(1, 300).map(float)
SHARES = st.fixed_dictionaries({user: st.sampled_from([0.5, 1.0, 2.0]) for user in USERS})


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shares=SHARES, submitted=st.lists(st.tuples(st.sampled_from(USERS), LENGTHS), min_size=12, max_size=20))
def test_over_a_window_each_user_has_its_share_to_within_one_job(
    shares: dict[str, float],
    submitted: list[tuple[str, float]],
    simulate: Callable[[Mapping[str, float]], _Simulation],
) -> None:
    simulation = simulate(shares)
    ids = {simulation.submit(_Submitted(owner, seconds)) for owner, seconds in submitted}
    longest = {user: max((s for owner, s in submitted if owner == user), default=0.0) / shares[user] for user in USERS}
    assert set(simulation.run(slots=1)) == ids, "nobody starves"
    for owner, used, waiting in simulation.claims:
        for other in waiting:
            # Whoever goes first has used least; what it had before was one job more at most.
            ahead = used.get(owner, 0.0) / shares[owner] - used.get(other, 0.0) / shares[other]
            assert ahead <= 0.01 * (1 + max(longest.values())), (owner, other)
    backlogged: dict[str, float] = {}
    for _, used, waiting in simulation.claims:
        if set(waiting) == {owner for owner, _ in submitted}:
            backlogged = used
    scores = {user: backlogged.get(user, 0.0) / shares[user] for user, _ in submitted}
    if scores:
        assert max(scores.values()) - min(scores.values()) <= max(longest.values()) * 1.01


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    small=st.lists(st.tuples(st.sampled_from(USERS[1:]), LENGTHS), min_size=10, max_size=14),
    before=st.integers(0, 5),
)
def test_a_job_with_four_gpus_comes(
    small: list[tuple[str, float]], before: int, simulate: Callable[[Mapping[str, float]], _Simulation]
) -> None:
    simulation = simulate({})
    for owner, seconds in small[:before]:
        simulation.submit(_Submitted(owner, seconds, gpus=1))
    large = simulation.submit(_Submitted("usr_a", 100.0, gpus=4))
    for owner, seconds in small[before:]:
        simulation.submit(_Submitted(owner, seconds, gpus=1))
    order = simulation.run(slots=9, gpus=FOUR_GPUS)
    assert len(order) == len(small) + 1
    assert order.index(large) <= before + 8, "four jobs run while it waits for a minute, and four more may follow"
