"""Whatever happens in whatever order: one holder at a time, one end, and nothing that a lost holder writes counts.

Hypothesis plays workers that claim, train, die, come back late, and users that cancel, against a model of a few lines.
"""

import uuid
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
from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.spec import JobSpec
from fitqueue.states import MOVES, EventKind, JobState, Reason
from service import clock
from service.db import Database
from service.models import Event, Job
from service.store import jobs, leases, records, transitions, wishes
from service.store.leases import Lease, LeaseLost
from service.store.records import EpochRecord

LEASE_SECONDS = 30.0
RECORD = EpochRecord(epoch=1, logs={"loss": 1.0}, learning_rate=0.1, next_learning_rate=0.1, seconds=1.0, steps=3)


@dataclass
class Clock:
    """The database's clock, moved on by hand."""

    shift: timedelta = field(default_factory=timedelta)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = clock.now

        def now(session: object) -> datetime:
            return real(session) + self.shift  # type: ignore[arg-type]

        monkeypatch.setattr(clock, "now", now)


class Lifecycle(RuleBasedStateMachine):
    def __init__(self, database: Database, make_spec: Callable[..., JobSpec], time: Clock) -> None:
        super().__init__()
        self.database, self.make_spec, self.time = database, make_spec, time
        self.pool = f"p{uuid.uuid4().hex[:12]}"  # a queue of its own in a database that all runs share
        self.held: dict[str, Lease] = {}
        self.lost: list[Lease] = []
        self.ended: dict[str, JobState] = {}
        self.states: dict[str, JobState] = {}

    @initialize()
    def begin(self) -> None:
        for worker in ("w1", "w2"):
            self.submit(0)
            self.claim(worker)

    @rule(priority=st.integers(-1, 1))
    def submit(self, priority: int) -> None:
        spec = self.make_spec(priority=priority, max_attempts=20, resources={"pool": self.pool})
        with self.database.write() as session:
            jobs.create(session, spec, [])

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker: str) -> None:
        with self.database.write() as session:
            claimed = leases.claim(session, worker, [self.pool], 0, LEASE_SECONDS)
        if claimed is not None:
            assert claimed.lease.job_id not in self.held, "two hold one job"
            self.held[claimed.lease.job_id] = claimed.lease

    @precondition(lambda self: self.held)
    @rule(data=st.data(), reason=st.sampled_from([Reason.COMPLETED, Reason.NAN_LOSS, Reason.CANCELLED_BY_USER]))
    def finish(self, data: st.DataObject, reason: Reason) -> None:
        lease = data.draw(st.sampled_from(list(self.held.values())))
        for _ in range(2):
            with self.database.write() as session:
                assert leases.finish(session, lease, reason, "told")
        self._let_go(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(list(self.held.values())))
        with self.database.write() as session:
            assert leases.put_back(session, lease, "shut down")
        self._let_go(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def train(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(list(self.held.values())))
        with self.database.write() as session:
            assert leases.renew(session, lease, LEASE_SECONDS) is not None
            records.record_epoch(session, lease, RECORD)

    @precondition(lambda self: self.lost)
    @rule()
    def all_lost_write_late(self) -> None:
        for lease in self.lost:
            with self.database.read() as session:
                before = jobs.version(session, lease.job_id)
            with self.database.write() as session:
                assert leases.renew(session, lease, LEASE_SECONDS) is None
                assert not leases.put_back(session, lease, "late")
                with pytest.raises(LeaseLost):
                    records.record_epoch(session, lease, RECORD)
                leases.finish(session, lease, Reason.COMPLETED, "late")
            with self.database.read() as session:
                assert jobs.version(session, lease.job_id) == before

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        waiting = [job_id for job_id, state in self.states.items() if not state.is_final]
        if waiting:
            with self.database.write() as session:
                wishes.cancel(session, data.draw(st.sampled_from(waiting)))

    @rule()
    def time_passes(self) -> None:
        self.time.shift += timedelta(seconds=LEASE_SECONDS / 3)
        self._sweep()

    @rule()
    def all_workers_are_lost(self) -> None:
        self.time.shift += timedelta(seconds=LEASE_SECONDS + 1)
        self._sweep()
        self.time.shift += timedelta(seconds=leases.LONGEST_BACKOFF_SECONDS)
        self.claim("w3")

    def _sweep(self) -> None:
        with self.database.write() as session:
            leases.expire_leases(session)
        for lease in list(self.held.values()):
            with self.database.read() as session:
                job = jobs.get(session, lease.job_id)
            if (job.state, job.attempt) != (JobState.RUNNING, lease.attempt):
                self._let_go(lease)

    @invariant()
    def states_follow_the_moves(self) -> None:
        with self.database.read() as session:
            rows = session.scalars(select(Job).where(Job.pool == self.pool)).all()
            running = {job.id for job in rows if job.state is JobState.RUNNING}
            for job in rows:
                old = self.states.get(job.id)
                assert old in {None, job.state} or (old, job.state) in MOVES
                self.states[job.id] = job.state
                if job.state.is_final:
                    assert self.ended.setdefault(job.id, job.state) is job.state, "an end is final"
                    assert self._ends(session, job.id) == 1
        assert running == set(self.held)

    def _let_go(self, lease: Lease) -> None:
        del self.held[lease.job_id]
        self.lost.append(lease)

    @staticmethod
    def _ends(session: Session, job_id: str) -> int:
        kinds = [EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED]
        found = session.scalars(select(Event.id).where(Event.job_id == job_id, Event.kind.in_(kinds)))
        return len(found.all())


def _play(database: Database, make_spec: Callable[..., JobSpec], time: Clock) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Lifecycle(database, make_spec, time),
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # to make a failure small takes minutes, and its steps are told as they are
            suppress_health_check=list(HealthCheck),
        ),
    )


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
