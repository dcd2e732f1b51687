"""Workers that claim, train, die and come back late, and users that cancel, pause, resume and extend, in any order.

Hypothesis chooses what happens next, and compares the database with a model of a few lines (`ExpectedJob`).
"""

import itertools
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fitqueue.errors import JobEnded, JobNotChangeable, JobNotEnded, JobNotExtendable
from fitqueue.reports import Position
from fitqueue.spec import parse_change
from fitqueue.states import EXTENDABLE, FINAL_STATES, MOVES, WAITING_STATES, EventKind, JobState, Reason
from service import clock
from service.db import Database
from service.models import Event, GPUClaim, Job
from service.store import actions, attempt_outcomes, job_changes, jobs, leases, recording, snapshots
from service.store.gpus import VisibleGPU
from service.store.leases import Lease, LeaseLost, StopRequests
from service.store.retry_policy import OUTAGE_DELAY_SECONDS, AttemptFailure
from tests.integration.fixture_types import MakeSpec
from tests.integration.store.expected_job import MAX_ATTEMPTS, ExpectedJob
from tests.reports import epoch_ended, snapshot_written

LEASE_SECONDS = 30.0
MAX_JOBS = 4  # with more jobs, hardly one of them would live through much
END_REASONS = [Reason.COMPLETED, Reason.EARLY_STOPPED, Reason.NAN_LOSS, Reason.CANCELLED_BY_USER, Reason.MAX_RUNTIME]
FAILURE_REASONS = [None, Reason.OUT_OF_MEMORY, Reason.INTERNAL_ERROR]


@dataclass
class Clock:
    """The database's clock, advanced by hand."""

    shift: timedelta = field(default_factory=timedelta)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = clock.now

        def now(session: Session) -> datetime:
            return real(session) + self.shift

        monkeypatch.setattr(clock, "now", now)


class Lifecycle(RuleBasedStateMachine):
    """The lives of a few jobs, and of the three GPUs of the machine that all workers share."""

    def __init__(self, database: Database, make_spec: MakeSpec, time: Clock) -> None:
        super().__init__()
        self.database, self.make_spec, self.time = database, make_spec, time
        self.pool = f"p{uuid.uuid4().hex[:12]}"  # a queue of its own in a database that all runs share
        self.expected: dict[str, ExpectedJob] = {}
        self.gpus = [VisibleGPU(f"{self.pool}-{n}") for n in range(3)]
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
        self._record_snapshot(self.held[next(iter(self.held))], Position(0))

    # --- Workers ------------------------------------------------------------------------------------------------------

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker: str) -> None:
        with self.database.write() as session:
            claimed = leases.claim(session, worker, [self.pool], self.gpus, LEASE_SECONDS)
        if claimed is None:
            return
        job_id = claimed.lease.job_id
        job = self.expected[job_id]
        assert job_id not in self.held, "two workers hold one job"
        assert job.state is JobState.QUEUED, f"it was {job.state}"
        assert (claimed.stalled_attempts, claimed.spec["fit"]["epochs"]) == (job.stalled_attempts, job.epochs)
        job.state, job.attempt = JobState.RUNNING, job.attempt + 1
        self.held[job_id] = claimed.lease
        assert len(claimed.gpus) == job.gpus
        assert self.held_gpus.keys().isdisjoint(claimed.gpus), "two jobs hold one GPU"
        self.held_gpus |= dict.fromkeys(claimed.gpus, job_id)
        self.expiries[job_id] = self.time.shift + timedelta(seconds=LEASE_SECONDS)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), reason=st.sampled_from(END_REASONS))
    def finish(self, data: st.DataObject, reason: Reason) -> None:
        lease = self._draw_held(data)
        for _ in range(2):
            with self.database.write() as session:
                assert attempt_outcomes.finish(session, lease, reason, "The training ended.")
        self.expected[lease.job_id].end(reason)
        self._forget_lease(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        lease = self._draw_held(data)
        with self.database.write() as session:
            assert attempt_outcomes.requeue(session, lease, "The worker was shut down.")
        self.expected[lease.job_id].leave_worker()
        self._forget_lease(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), reason=st.sampled_from(FAILURE_REASONS))
    def fail_attempt(self, data: st.DataObject, reason: Reason | None) -> None:
        lease = self._draw_held(data)
        with self.database.write() as session:
            assert attempt_outcomes.fail_attempt(session, lease, AttemptFailure("The training process died", reason))
        self.expected[lease.job_id].fail_attempt(reason)
        self._forget_lease(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def meet_outage(self, data: st.DataObject) -> None:
        lease = self._draw_held(data)
        outage = AttemptFailure("The disk is full", Reason.STORAGE_FAILED, is_outage=True)
        with self.database.write() as session:
            assert attempt_outcomes.fail_attempt(session, lease, outage)
        self.expected[lease.job_id].leave_worker()
        self._forget_lease(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def train(self, data: st.DataObject) -> None:
        lease = self._draw_held(data)
        with self.database.write() as session:
            requests = leases.renew(session, lease, LEASE_SECONDS)
            recording.record_epoch(session, leases.held_job(session, lease), epoch_ended(1))
        job = self.expected[lease.job_id]
        job.trained = 1
        assert requests == StopRequests(cancel=job.cancel_requested, pause=job.pause_requested)
        self.expiries[lease.job_id] = self.time.shift + timedelta(seconds=LEASE_SECONDS)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), epoch=st.integers(0, 1), step=st.integers(0, 1))
    def take_snapshot(self, data: st.DataObject, epoch: int, step: int) -> None:
        self._record_snapshot(self._draw_held(data), Position(epoch, step))

    @precondition(lambda self: self.lost)
    @rule()
    def lost_attempts_write_late(self) -> None:
        with self.database.read() as session:
            before = self._versions(session)
        for lease in self.lost:
            with self.database.write() as session:
                assert leases.renew(session, lease, LEASE_SECONDS) is None
                assert not attempt_outcomes.requeue(session, lease, "late")
                assert not attempt_outcomes.fail_attempt(session, lease, AttemptFailure("late", Reason.INTERNAL_ERROR))
                with pytest.raises(LeaseLost):
                    leases.held_job(session, lease)
                with pytest.raises(LeaseLost):
                    leases.begin_write(session, lease, 99)
                attempt_outcomes.finish(session, lease, Reason.COMPLETED, "late")
        with self.database.read() as session:
            assert self._versions(session) == before

    # --- Users --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.expected) < MAX_JOBS)
    @rule(priority=st.integers(-1, 1), gpus=st.integers(0, 2))
    def submit(self, priority: int, gpus: int) -> None:
        resources = {"pool": self.pool, "gpus": gpus}
        spec = self.make_spec(priority=priority, max_attempts=MAX_ATTEMPTS, resources=resources)
        with self.database.write() as session:
            job_id = jobs.create(session, spec, []).id
        self.expected[job_id] = ExpectedJob(spec.fit.epochs, gpus=gpus)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id, job = self._draw_job(data)
        error = JobEnded if job.state.is_final and job.state is not JobState.CANCELLED else None
        self._perform_twice(job_id, error, actions.cancel)
        if job.state is JobState.RUNNING:
            job.cancel_requested = True
        elif not job.state.is_final:
            job.end(Reason.CANCELLED_BY_USER)

    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        job_id, job = self._draw_job(data)
        self._perform_twice(job_id, JobEnded if job.state.is_final else None, actions.pause)
        if job.state is JobState.RUNNING:
            job.pause_requested = True
        elif job.state is JobState.QUEUED:
            job.state = JobState.PAUSED

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        job_id, job = self._draw_job(data, prefer=lambda job: job.pause_requested or job.state is JobState.PAUSED)
        self._perform_twice(job_id, JobEnded if job.state.is_final else None, actions.resume)
        if job.state is JobState.PAUSED:
            job.state = JobState.QUEUED
        job.pause_requested = False

    @precondition(lambda self: any(job.state.is_final or job.extensions for job in self.expected.values()))
    @rule(data=st.data(), epochs=st.integers(1, 2))
    def extend(self, data: st.DataObject, epochs: int) -> None:
        job_id, job = self._draw_job(data, prefer=lambda job: job.state.is_final)
        error: type[Exception] | None = None
        if not job.state.is_final:
            error = None if job.extended_by == epochs else JobNotEnded
        elif job.reason not in EXTENDABLE or job.newest_snapshot is None:
            error = JobNotExtendable
        self._perform_twice(job_id, error, lambda session, job_id: actions.extend(session, job_id, epochs))
        if job.state.is_final and error is None:
            job.extend(epochs)

    @rule(data=st.data(), priority=st.integers(-1, 1))
    def change(self, data: st.DataObject, priority: int) -> None:
        job_id, job = self._draw_job(data)
        error = None if job.state in WAITING_STATES else JobNotChangeable
        wanted = parse_change({"priority": priority})
        self._perform_twice(job_id, error, lambda session, job_id: job_changes.change(session, job_id, wanted))

    # --- Time ---------------------------------------------------------------------------------------------------------

    @rule()
    def time_passes(self) -> None:
        self.time.shift += timedelta(seconds=LEASE_SECONDS / 3)
        self._expire_leases()

    @rule()
    def all_workers_are_lost(self) -> None:
        self.time.shift += timedelta(seconds=LEASE_SECONDS + 1)
        self._expire_leases()
        assert self.held == {}
        self.time.shift += timedelta(seconds=OUTAGE_DELAY_SECONDS)
        self.claim("w3")

    def _expire_leases(self) -> None:
        with self.database.write() as session:
            pools = attempt_outcomes.expire_leases(session)
        expired = [lease for lease in self.held.values() if self.expiries[lease.job_id] <= self.time.shift]
        for lease in expired:
            self.expected[lease.job_id].fail_attempt(None)
            self._forget_lease(lease)
        is_queued_again = any(self.expected[lease.job_id].state is JobState.QUEUED for lease in expired)
        assert (self.pool in pools) == is_queued_again

    # --- What must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def jobs_are_as_expected(self) -> None:
        with self.database.read() as session:
            rows = {job.id: job for job in session.scalars(select(Job).where(Job.pool == self.pool))}
            events = self._count_events(session)
        assert rows.keys() == self.expected.keys()
        assert {job.id for job in rows.values() if job.state is JobState.RUNNING} == set(self.held)
        for job_id, expected in self.expected.items():
            job = rows[job_id]
            assert expected.matches(job), f"{expected}, is {vars(job)}"
            assert (job.lease_expires_at is not None) == (job.state is JobState.RUNNING)
            assert (job.claimed_at is not None) == (job.state is JobState.RUNNING)
            if job.state in {JobState.QUEUED, JobState.PAUSED}:
                assert (job.worker_id, job.phase, job.cancel_requested_at) == (None, None, None)
            ends = [events[job_id, EventKind(state.value)] for state in FINAL_STATES]
            assert sum(ends) == expected.ends, "each end has one event"
            assert events[job_id, EventKind.EXTENDED] == expected.extensions
            assert expected.ends == expected.extensions + job.state.is_final, "an end is final unless it is extended"
            old_state = self.states.get(job_id)
            assert old_state in {None, job.state} or (old_state, job.state) in MOVES
            self.states[job_id] = job.state

    @invariant()
    def running_jobs_hold_their_gpus(self) -> None:
        with self.database.read() as session:
            rows = session.scalars(select(GPUClaim).where(GPUClaim.gpu_uuid.like(f"{self.pool}-%"))).all()
        assert {row.gpu_uuid: row.job_id for row in rows} == self.held_gpus
        assert {(row.job_id, row.attempt, row.worker_id) for row in rows} == {
            (lease.job_id, lease.attempt, lease.worker_id)
            for lease in self.held.values()
            if self.expected[lease.job_id].gpus
        }

    def _count_events(self, session: Session) -> Counter[tuple[str, EventKind]]:
        rows = session.execute(
            select(Event.job_id, Event.kind, func.count())
            .where(Event.job_id.in_(select(Job.id).where(Job.pool == self.pool)))
            .group_by(Event.job_id, Event.kind)
        )
        return Counter({(job_id, kind): count for job_id, kind, count in rows})

    def _versions(self, session: Session) -> dict[str, int]:
        rows = session.execute(select(Job.id, Job.version).where(Job.pool == self.pool))
        return {row.id: row.version for row in rows}

    # --- Helpers ------------------------------------------------------------------------------------------------------

    def _draw_held(self, data: st.DataObject) -> Lease:
        return data.draw(st.sampled_from(list(self.held.values())))

    def _draw_job(
        self, data: st.DataObject, prefer: Callable[[ExpectedJob], bool] = lambda job: True
    ) -> tuple[str, ExpectedJob]:
        preferred = [job_id for job_id, job in self.expected.items() if prefer(job)]
        job_id = data.draw(st.sampled_from(preferred or list(self.expected)))
        return job_id, self.expected[job_id]

    def _perform_twice(self, job_id: str, error: type[Exception] | None, action: Callable[[Session, str], Job]) -> None:
        """Perform an action twice, which must change nothing the second time; or once, if it must be refused."""
        if error is not None:
            with pytest.raises(error), self.database.write() as session:
                action(session, job_id)
            return
        with self.database.write() as session:
            version = action(session, job_id).version
        with self.database.write() as session:
            assert action(session, job_id).version == version

    def _record_snapshot(self, lease: Lease, position: Position) -> None:
        key = f"snapshots/{self.pool}/{next(self.numbers)}"
        written = snapshot_written(position.epoch, position.step)
        with self.database.write() as session:
            snapshots.record(session, leases.held_job(session, lease), written, key)
        job = self.expected[lease.job_id]
        newest = (lease.attempt, position)
        job.newest_snapshot = max(job.newest_snapshot or newest, newest)

    def _forget_lease(self, lease: Lease) -> None:
        del self.held[lease.job_id]
        self.held_gpus = {uuid: job_id for uuid, job_id in self.held_gpus.items() if job_id != lease.job_id}
        self.lost.append(lease)
