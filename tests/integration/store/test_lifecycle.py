"""Whatever happens in whatever order: one holder at a time of each job and of each GPU, one end, and nothing that a
lost holder writes counts.

Hypothesis plays workers that claim, train, die, come back late, and users that cancel, pause, resume and extend,
against a model of some lines that knows what must come of each.
"""

import itertools
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from fitqueue.errors import JobEnded, JobNotEnded, JobNotExtendable
from fitqueue.spec import JobSpec
from fitqueue.states import EXTENDABLE, FINAL_STATES, MOVES, EventKind, JobState, Reason, state_of
from service import clock
from service.db import Database
from service.models import Event, GPUClaim, Job
from service.store import actions, gpus, jobs, leases, recording, snapshots, transitions
from service.store.gpus import VisibleGPU
from service.store.leases import Lease, LeaseLost
from service.store.recording import EpochRecord
from service.store.snapshots import SnapshotRecord

LEASE_SECONDS = 30.0
MAX_ATTEMPTS = 5
MOST_JOBS = 4  # with more of them, hardly one is lived through
RECORD = EpochRecord(epoch=1, logs={"loss": 1.0}, learning_rate=0.1, next_learning_rate=0.1, seconds=1.0, steps=3)
ENDS = [Reason.COMPLETED, Reason.EARLY_STOPPED, Reason.NAN_LOSS, Reason.CANCELLED_BY_USER, Reason.MAX_RUNTIME]


@dataclass
class Clock:
    """The database's clock, moved on by hand."""

    shift: timedelta = field(default_factory=timedelta)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = clock.now

        def now(session: object) -> datetime:
            return real(session) + self.shift  # type: ignore[arg-type]

        monkeypatch.setattr(clock, "now", now)


@dataclass
class Expected:
    """A job as it must be."""

    epochs: int
    gpus: int = 0
    state: JobState = JobState.QUEUED
    reason: Reason | None = None
    cancel: bool = False
    pause: bool = False
    place: tuple[int, int] | None = None
    """Of its newest snapshot."""
    failed_attempts: int = 0
    stalled_attempts: int = 0
    stalled_at: tuple[int, int] | None = None
    attempt: int = 0
    ends: int = 0
    extensions: int = 0
    extended_by: int | None = None

    def end(self, reason: Reason) -> None:
        self.state, self.reason, self.pause = state_of(reason), reason, False
        self.ends += 1

    def leave_worker(self) -> None:
        if self.cancel:
            self.end(Reason.CANCELLED_BY_USER)
        else:
            self.state, self.pause = (JobState.PAUSED if self.pause else JobState.QUEUED), False

    def fail_attempt(self, verdict: Reason | None) -> None:
        place = self.place or (0, 0)
        stalled_attempts = self.stalled_attempts + 1 if self.stalled_at == place else 1
        if self.cancel:
            self.end(Reason.CANCELLED_BY_USER)
        elif verdict is not None and stalled_attempts >= 2:
            self.end(verdict)
        elif self.failed_attempts + 1 == MAX_ATTEMPTS:
            self.end(verdict or Reason.WORKER_LOST)
        elif stalled_attempts >= 3:
            self.end(Reason.NO_PROGRESS)
        else:
            self.failed_attempts, self.stalled_attempts, self.stalled_at = (
                self.failed_attempts + 1,
                stalled_attempts,
                place,
            )
            self.leave_worker()

    def is_like(self, job: Job) -> bool:
        is_wish = self.cancel and self.state is JobState.RUNNING
        return (
            (self.state, self.reason, self.epochs) == (job.state, job.reason, job.epochs)
            and self.pause == (job.pause_requested_at is not None)
            and (job.cancel_requested_at is not None) >= is_wish
            and (self.failed_attempts, self.stalled_attempts, self.attempt)
            == (job.failed_attempts, job.stalled_attempts, job.attempt)
        )


class Lifecycle(RuleBasedStateMachine):
    def __init__(self, database: Database, make_spec: Callable[..., JobSpec], time: Clock) -> None:
        super().__init__()
        self.database, self.make_spec, self.time = database, make_spec, time
        self.pool = f"p{uuid.uuid4().hex[:12]}"  # a queue of its own in a database that all runs share
        self.expected: dict[str, Expected] = {}
        self.gpus = [VisibleGPU(f"{self.pool}-{n}") for n in range(3)]  # of the machine that all workers share
        self.held: dict[str, Lease] = {}
        self.held_gpus: dict[str, str] = {}
        self.expiries: dict[str, timedelta] = {}
        self.lost: list[Lease] = []
        self.states: dict[str, JobState] = {}
        self.numbers = itertools.count()

    @initialize()
    def begin(self) -> None:
        for worker in ("w1", "w2"):
            self.submit(0, 1)
            self.claim(worker)
        self._record_snapshot(self.held[next(iter(self.held))], (0, 0))

    # --- Workers ----------------------------------------------------------------------------------------------------

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker: str) -> None:
        with self.database.write() as session:
            claimed = leases.claim(session, worker, [self.pool], self.gpus, LEASE_SECONDS)
        if claimed is None:
            return
        job_id = claimed.lease.job_id
        job = self.expected[job_id]
        assert job_id not in self.held, "two hold one job"
        assert job.state is JobState.QUEUED, f"it was {job.state}"
        assert (claimed.stalled_attempts, claimed.spec["fit"]["epochs"]) == (job.stalled_attempts, job.epochs)
        job.state, job.attempt = JobState.RUNNING, job.attempt + 1
        self.held[job_id] = claimed.lease
        assert len(claimed.gpus) == job.gpus
        assert self.held_gpus.keys().isdisjoint(claimed.gpus), "two hold one GPU"
        self.held_gpus |= dict.fromkeys(claimed.gpus, job_id)
        self.expiries[job_id] = self.time.shift + timedelta(seconds=LEASE_SECONDS)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), reason=st.sampled_from(ENDS))
    def finish(self, data: st.DataObject, reason: Reason) -> None:
        lease = self._draw_held(data)
        for _ in range(2):
            with self.database.write() as session:
                assert leases.finish(session, lease, reason, "told")
        self.expected[lease.job_id].end(reason)
        self._let_go(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        lease = self._draw_held(data)
        with self.database.write() as session:
            assert leases.requeue(session, lease, "shut down")
        self.expected[lease.job_id].leave_worker()
        self._let_go(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), verdict=st.sampled_from([None, Reason.OUT_OF_MEMORY, Reason.INTERNAL_ERROR]))
    def fail_attempt(self, data: st.DataObject, verdict: Reason | None) -> None:
        lease = self._draw_held(data)
        with self.database.write() as session:
            assert leases.fail_attempt(session, lease, "it died", verdict)
        self.expected[lease.job_id].fail_attempt(verdict)
        self._let_go(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def train(self, data: st.DataObject) -> None:
        lease = self._draw_held(data)
        with self.database.write() as session:
            renewal = leases.renew(session, lease, LEASE_SECONDS)
            recording.record_epoch(session, lease, RECORD)
        job = self.expected[lease.job_id]
        assert renewal == leases.Renewal(cancel_requested=job.cancel, pause_requested=job.pause)
        self.expiries[lease.job_id] = self.time.shift + timedelta(seconds=LEASE_SECONDS)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), place=st.tuples(st.integers(0, 1), st.integers(0, 1)))
    def take_snapshot(self, data: st.DataObject, place: tuple[int, int]) -> None:
        self._record_snapshot(self._draw_held(data), place)

    @precondition(lambda self: self.lost)
    @rule()
    def all_lost_write_late(self) -> None:
        with self.database.read() as session:
            before = self._versions(session)
        for lease in self.lost:
            with self.database.write() as session:
                assert leases.renew(session, lease, LEASE_SECONDS) is None
                assert not leases.requeue(session, lease, "late")
                assert not leases.fail_attempt(session, lease, "late", Reason.INTERNAL_ERROR)
                with pytest.raises(LeaseLost):
                    recording.record_epoch(session, lease, RECORD)
                with pytest.raises(LeaseLost):
                    snapshots.record(session, lease, self._snapshot((9, 9)))
                leases.finish(session, lease, Reason.COMPLETED, "late")
        with self.database.read() as session:
            assert self._versions(session) == before

    # --- Users ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.expected) < MOST_JOBS)
    @rule(priority=st.integers(-1, 1), gpus=st.integers(0, 2))
    def submit(self, priority: int, gpus: int) -> None:
        resources = {"pool": self.pool, "gpus": gpus}
        spec = self.make_spec(priority=priority, max_attempts=MAX_ATTEMPTS, resources=resources)
        with self.database.write() as session:
            job_id = jobs.create(session, spec, []).id
        self.expected[job_id] = Expected(spec.fit.epochs, gpus)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id, job = self._draw_any(data)
        refusal = JobEnded if job.state.is_final and job.state is not JobState.CANCELLED else None
        self._ask_twice(job_id, refusal, actions.cancel)
        if job.state is JobState.RUNNING:
            job.cancel = True
        elif not job.state.is_final:
            job.end(Reason.CANCELLED_BY_USER)

    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        job_id, job = self._draw_any(data)
        self._ask_twice(job_id, JobEnded if job.state.is_final else None, actions.pause)
        if job.state is JobState.RUNNING:
            job.pause = True
        elif job.state is JobState.QUEUED:
            job.state = JobState.PAUSED

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        job_id, job = self._draw_any(data, prefer=lambda job: job.pause or job.state is JobState.PAUSED)
        self._ask_twice(job_id, JobEnded if job.state.is_final else None, actions.resume)
        if job.state is JobState.PAUSED:
            job.state = JobState.QUEUED
        job.pause = False

    @precondition(lambda self: any(job.state.is_final or job.extensions for job in self.expected.values()))
    @rule(data=st.data(), epochs=st.integers(1, 2))
    def extend(self, data: st.DataObject, epochs: int) -> None:
        job_id, job = self._draw_any(data, prefer=lambda job: job.state.is_final)
        refusal: type[Exception] | None = None
        if not job.state.is_final:
            refusal = None if job.extended_by == epochs else JobNotEnded
        elif job.reason not in EXTENDABLE or job.place is None:
            refusal = JobNotExtendable
        self._ask_twice(job_id, refusal, lambda session, job_id: actions.extend(session, job_id, epochs))
        if job.state.is_final and refusal is None:
            job.state, job.reason, job.cancel, job.failed_attempts, job.stalled_attempts = (
                JobState.QUEUED,
                None,
                False,
                0,
                0,
            )
            job.epochs, job.extended_by, job.extensions = job.epochs + epochs, epochs, job.extensions + 1

    # --- Time -------------------------------------------------------------------------------------------------------

    @rule()
    def time_passes(self) -> None:
        self.time.shift += timedelta(seconds=LEASE_SECONDS / 3)
        self._sweep()

    @rule()
    def all_workers_are_lost(self) -> None:
        self.time.shift += timedelta(seconds=LEASE_SECONDS + 1)
        self._sweep()
        assert self.held == {}
        self.time.shift += timedelta(seconds=leases.LONGEST_BACKOFF_SECONDS)
        self.claim("w3")

    def _sweep(self) -> None:
        with self.database.write() as session:
            pools = leases.expire_leases(session)
        expired = [lease for lease in self.held.values() if self.expiries[lease.job_id] <= self.time.shift]
        for lease in expired:
            self.expected[lease.job_id].fail_attempt(None)
            self._let_go(lease)
        waits = any(self.expected[lease.job_id].state is JobState.QUEUED for lease in expired)
        assert (self.pool in pools) == waits

    # --- What must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def each_is_as_expected(self) -> None:
        with self.database.read() as session:
            rows = {job.id: job for job in session.scalars(select(Job).where(Job.pool == self.pool))}
            events = self._events(session)
        assert rows.keys() == self.expected.keys()
        assert {job.id for job in rows.values() if job.state is JobState.RUNNING} == set(self.held)
        for job_id, expected in self.expected.items():
            job = rows[job_id]
            assert expected.is_like(job), f"{expected}, is {vars(job)}"
            assert (job.lease_expires_at is not None) == (job.state is JobState.RUNNING)
            assert (job.claimed_at is not None) == (job.state is JobState.RUNNING)
            if job.state in {JobState.QUEUED, JobState.PAUSED}:
                assert (job.worker_id, job.phase, job.cancel_requested_at) == (None, None, None)
            ends = [events[job_id, EventKind(state.value)] for state in FINAL_STATES]
            assert sum(ends) == expected.ends, "each end is told once"
            assert events[job_id, EventKind.EXTENDED] == expected.extensions
            assert expected.ends == expected.extensions + job.state.is_final, "an end is final unless it is extended"
            old = self.states.get(job_id)
            assert old in {None, job.state} or (old, job.state) in MOVES
            self.states[job_id] = job.state

    @invariant()
    def gpus_are_held_by_what_runs(self) -> None:
        with self.database.read() as session:
            rows = session.scalars(select(GPUClaim).where(GPUClaim.gpu_uuid.like(f"{self.pool}-%"))).all()
        assert {row.gpu_uuid: row.job_id for row in rows} == self.held_gpus
        assert {(row.job_id, row.attempt, row.worker_id) for row in rows} == {
            (lease.job_id, lease.attempt, lease.worker_id)
            for lease in self.held.values()
            if self.expected[lease.job_id].gpus
        }

    def _events(self, session: Session) -> Counter[tuple[str, EventKind]]:
        counted = session.execute(
            select(Event.job_id, Event.kind, func.count())
            .where(Event.job_id.in_(select(Job.id).where(Job.pool == self.pool)))
            .group_by(Event.job_id, Event.kind)
        )
        return Counter({(job_id, kind): count for job_id, kind, count in counted})

    def _versions(self, session: Session) -> dict[str, int]:
        rows = session.execute(select(Job.id, Job.version).where(Job.pool == self.pool))
        return {row.id: row.version for row in rows}

    # --- Parts ------------------------------------------------------------------------------------------------------

    def _draw_held(self, data: st.DataObject) -> Lease:
        return data.draw(st.sampled_from(list(self.held.values())))

    def _draw_any(
        self, data: st.DataObject, prefer: Callable[[Expected], bool] = lambda job: True
    ) -> tuple[str, Expected]:
        preferred = [job_id for job_id, job in self.expected.items() if prefer(job)]
        job_id = data.draw(st.sampled_from(preferred or list(self.expected)))
        return job_id, self.expected[job_id]

    def _ask_twice(self, job_id: str, refusal: type[Exception] | None, wish: Callable[[Session, str], Job]) -> None:
        """The second time changes nothing; what is refused is so the first time."""
        if refusal is not None:
            with pytest.raises(refusal), self.database.write() as session:
                wish(session, job_id)
            return
        with self.database.write() as session:
            version = wish(session, job_id).version
        with self.database.write() as session:
            assert wish(session, job_id).version == version

    def _record_snapshot(self, lease: Lease, place: tuple[int, int]) -> None:
        with self.database.write() as session:
            snapshots.record(session, lease, self._snapshot(place))
        job = self.expected[lease.job_id]
        job.place = max(job.place or place, place)

    def _snapshot(self, place: tuple[int, int]) -> SnapshotRecord:
        return SnapshotRecord(f"snapshots/{self.pool}/{next(self.numbers)}", *place, 10, "0" * 64)

    def _let_go(self, lease: Lease) -> None:
        del self.held[lease.job_id]
        self.held_gpus = {uuid: job_id for uuid, job_id in self.held_gpus.items() if job_id != lease.job_id}
        self.lost.append(lease)


def _play(database: Database, make_spec: Callable[..., JobSpec], time: Clock) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Lifecycle(database, make_spec, time),
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # to make a failure small takes minutes, and its steps are told as they are
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def database(database: Database) -> Database:
    """It does not have to outlive a power cut: thousands of commits wait for no disk."""
    if database._engine.dialect.name == "sqlite":
        event.listen(database._engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return database


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    time = Clock()
    time.install(monkeypatch)
    return time


def test_one_holder_one_end(database: Database, make_spec: Callable[..., JobSpec], time: Clock) -> None:
    _play(database, make_spec, time)


def test_without_the_fence_it_breaks(
    database: Database, make_spec: Callable[..., JobSpec], time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin that shows that the test can fail: the moves no longer ask for the attempt."""
    monkeypatch.setattr(transitions, "_running", lambda _attempt: (Job.state == JobState.RUNNING,))
    with pytest.raises(BaseException, match=r"assert|is final|two hold"):
        _play(database, make_spec, time)


def test_without_letting_go_it_breaks(
    database: Database, make_spec: Callable[..., JobSpec], time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin about GPUs: a job that leaves its worker keeps them."""
    monkeypatch.setattr(gpus, "release", lambda _session, _job: None)
    with pytest.raises(AssertionError):
        _play(database, make_spec, time)
