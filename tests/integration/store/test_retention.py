"""What the retention of projects removes of ended jobs, and above all what it does not."""

from collections.abc import Callable
from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import func, select, update

from fitqueue.errors import Expired, JobNotExtendable
from fitqueue.retention import KeptCheckpoints, Removable, Retention
from fitqueue.spec import parse_change
from fitqueue.states import EventKind, JobState
from service import clock
from service.db import Database
from service.models import LAB_ID, Artifact, Checkpoint, Event, Job, LogLine, Snapshot
from service.store import (
    actions,
    artifacts,
    checkpoints,
    job_changes,
    jobs,
    leases,
    recording,
    removals,
    retention,
    retention_preview,
)
from tests.integration.fixture_types import AdvanceClock, Claim, Submit
from tests.integration.store.operations import event_kinds, events_of, finish, get_job
from tests.reports import artifact_written, checkpoint_written, printed

DAY = 86_400.0
ALL_AFTER_A_WEEK = Retention(logs_days=7, events_days=7, snapshots_days=7, checkpoints_days=7, artifacts_days=7)
KEEP_ALL = Retention(snapshots_days=None)

JobInState = Callable[[str], str]


@pytest.fixture
def full_job(database: Database, job_in_state: JobInState) -> Callable[..., str]:
    """A function that returns the id of a job in a state that has left something of each kind."""

    def make(state: str = "succeeded") -> str:
        job_id = job_in_state(state)
        leave_everything(database, job_id)
        return job_id

    return make


def leave_everything(database: Database, job_id: str) -> None:
    with database.write() as session:
        job = jobs.locked(session, job_id)
        recording.record_lines(session, job, [printed("a"), printed("b")])
        keys = [f"checkpoints/{job_id}/{n}" for n in (1, 2)]
        recording.record_checkpoint(session, job, checkpoint_written(["best", "e1"]), keys[0])
        recording.record_checkpoint(session, job, checkpoint_written(["last", "e2", "e3"], epoch=2), keys[1])
        recording.record_checkpoint(session, job, checkpoint_written(["e4"], epoch=2), f"checkpoints/{job_id}/3")
        recording.record_artifact(session, job, artifact_written("log.csv"), f"artifacts/{job_id}/1")
        if session.scalar(select(func.count()).where(Snapshot.job_id == job_id)) == 0:
            now = clock.now(session)
            session.add(
                Snapshot(storage_key=f"s/{job_id}", job_id=job_id, epoch=1, step=0, size=1, sha256="0" * 64,
                         attempt=1, created_at=now)
            )  # fmt: skip


def set_retention(database: Database, policy: Retention) -> None:
    with database.write() as session:
        retention.set(session, LAB_ID, policy)


def remove_all(database: Database) -> removals.Removed:
    """Do steps until nothing is due; return what all of them have removed."""
    total = removals.Removed()
    for _ in range(1000):
        with database.write() as session:
            removed = removals.remove_some(session)
        if removed is None:
            return total
        total.rows += removed.rows
        total.bytes += removed.bytes
        total.keys += removed.keys
    raise AssertionError("there is always another job due")


def left_of(database: Database, job_id: str) -> set[Removable]:
    """Return what a job still has. The names that others use than `best` and `last` are the other checkpoints."""
    own = Checkpoint.name.in_(("best", "last"))
    queries = {
        Removable.LOGS: select(LogLine.id).where(LogLine.job_id == job_id),
        Removable.EVENTS: select(Event.id).where(Event.job_id == job_id, Event.kind != EventKind.REMOVED),
        Removable.SNAPSHOTS: select(Snapshot.storage_key).where(Snapshot.job_id == job_id),
        Removable.OTHER_CHECKPOINTS: select(Checkpoint.name).where(Checkpoint.job_id == job_id, ~own),
        Removable.CHECKPOINTS: select(Checkpoint.name).where(Checkpoint.job_id == job_id, own),
        Removable.ARTIFACTS: select(Artifact.name).where(Artifact.job_id == job_id),
    }
    with database.read() as session:
        return {what for what, query in queries.items() if session.execute(query.limit(1)).one_or_none() is not None}


EVERYTHING = set(Removable)


@pytest.mark.parametrize("state", ["queued", "running", "paused", "succeeded", "failed", "cancelled"])
def test_only_what_is_old_enough_of_ended_jobs_goes(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str], state: str
) -> None:
    """Each kind × each age, for kept jobs and for others, in one state."""
    names = ("logs_days", "events_days", "snapshots_days", "checkpoints_days", "artifacts_days")
    policy = Retention(**{name: 2 * (n + 1) for n, name in enumerate(names)})  # 2, 4, … 10 days
    set_retention(database, policy)
    plain, kept = full_job(state), full_job(state)
    with database.write() as session:
        job_changes.change(session, kept, parse_change({"keep": True}))
    for day in range(1, 13):
        advance_clock(DAY)
        remove_all(database)
        is_ended = JobState(state).is_final
        gone = {what for what, age in policy.ages().items() if is_ended and age <= timedelta(days=day)}
        gone |= {Removable.OTHER_CHECKPOINTS} if Removable.CHECKPOINTS in gone else set()
        assert left_of(database, plain) == EVERYTHING - gone, f"after {day} days"
        assert left_of(database, kept) == EVERYTHING
    assert get_job(database, kept).removed == {}


@pytest.mark.parametrize(("keep", "days"), [*product(KeptCheckpoints, (None, 5))], ids=lambda value: str(value))
def test_the_best_and_the_last_may_stay_longer_than_the_others(
    database: Database,
    advance_clock: AdvanceClock,
    full_job: Callable[..., str],
    keep: KeptCheckpoints,
    days: int | None,
) -> None:
    set_retention(database, KEEP_ALL.model_copy(update={"keep_checkpoints": keep, "checkpoints_days": days}))
    job_id = full_job()
    assert remove_all(database).rows == 0
    advance_clock(1.1 * DAY)
    removed = remove_all(database)
    if keep is KeptCheckpoints.ALL:
        assert (removed.rows, removed.keys) == (0, [])
    else:
        # Two of the files have other names that stay.
        assert (removed.rows, removed.keys, removed.bytes) == (4, [f"checkpoints/{job_id}/3"], 10)
        assert left_of(database, job_id) == EVERYTHING - {Removable.OTHER_CHECKPOINTS}
    advance_clock(5 * DAY)
    remove_all(database)
    assert (Removable.CHECKPOINTS in left_of(database, job_id)) == (days is None)


def test_what_was_removed_is_told(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str]
) -> None:
    set_retention(database, ALL_AFTER_A_WEEK)
    job_id = full_job()
    version = get_job(database, job_id).version
    advance_clock(8 * DAY)
    removed = remove_all(database)
    assert sorted(removed.keys) == sorted(
        [*(f"checkpoints/{job_id}/{n}" for n in (1, 2, 3)), f"artifacts/{job_id}/1", *snapshot_keys(removed)]
    )
    job = get_job(database, job_id)
    assert job.version > version
    assert job.retention_due_at is None
    sentence = "The checkpoints were removed after 7 days by the retention of the project lab."
    assert job.removed["checkpoints"]["message"] == sentence
    told = events_of(database, job_id)
    assert {event.kind for event in told} == {EventKind.REMOVED}
    assert [event.data["what"] for event in told] == ["logs", "events", "snapshots", "checkpoints", "artifacts"]
    assert told[3].message == sentence
    assert told[3].data == {"what": "checkpoints", "days": 7, "project": "lab"}
    with database.read() as session:
        with pytest.raises(Expired, match=sentence):
            checkpoints.get(session, job_id, "best")
        with pytest.raises(Expired, match="artifacts were removed after 7 days"):
            artifacts.get(session, job_id, "log.csv")
    with database.write() as session, pytest.raises(JobNotExtendable, match="snapshots were removed after 7 days"):
        actions.extend(session, job_id, 1)
    assert remove_all(database).rows == 0
    assert len(events_of(database, job_id)) == len(told)


def snapshot_keys(removed: removals.Removed) -> list[str]:
    return [key for key in removed.keys if key.startswith(("s/", "snapshots/"))]


def test_the_default_removes_only_snapshots_after_thirty_days(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str]
) -> None:
    job_id = full_job()
    advance_clock(29.5 * DAY)
    remove_all(database)
    assert left_of(database, job_id) == EVERYTHING
    advance_clock(DAY)
    remove_all(database)
    assert left_of(database, job_id) == EVERYTHING - {Removable.SNAPSHOTS}
    advance_clock(1000 * DAY)
    remove_all(database)
    assert left_of(database, job_id) == EVERYTHING - {Removable.SNAPSHOTS}


def test_a_new_retention_holds_for_jobs_that_have_ended_before(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "DATED", 2)
    set_retention(database, KEEP_ALL)
    ended = [full_job() for _ in range(3)]
    waiting = full_job("queued")
    advance_clock(400 * DAY)
    assert remove_all(database).rows == 0
    assert all(get_job(database, job_id).retention_due_at is None for job_id in ended)
    set_retention(database, Retention(logs_days=365, snapshots_days=None))
    assert remove_all(database).rows == 6
    for job_id in ended:
        assert left_of(database, job_id) == EVERYTHING - {Removable.LOGS}
    assert left_of(database, waiting) == EVERYTHING


def test_a_job_that_is_no_longer_kept_is_looked_at_again(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str]
) -> None:
    set_retention(database, ALL_AFTER_A_WEEK)
    job_id = full_job()
    change(database, job_id, keep=True)
    advance_clock(8 * DAY)
    remove_all(database)
    assert left_of(database, job_id) == EVERYTHING
    change(database, job_id, keep=False)
    remove_all(database)
    assert left_of(database, job_id) == set()


def change(database: Database, job_id: str, *, keep: bool) -> None:
    with database.write() as session:
        job = job_changes.change(session, job_id, parse_change({"keep": keep}))
        assert (job.keep, job.spec["keep"]) == (keep, keep)


def test_checkpoints_that_a_waiting_job_starts_from_stay(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str], submit: Submit, claim: Claim
) -> None:
    set_retention(database, ALL_AFTER_A_WEEK)
    source = full_job()
    submit(initial_weights={"job": source})
    advance_clock(8 * DAY)
    with database.read() as session:
        due = {amount.what for amount in retention_preview.read(session)}
    assert due == EVERYTHING - {Removable.CHECKPOINTS, Removable.OTHER_CHECKPOINTS}
    remove_all(database)
    assert left_of(database, source) == {Removable.CHECKPOINTS, Removable.OTHER_CHECKPOINTS}
    lease = claim().lease
    advance_clock(DAY / 24)
    remove_all(database)
    assert Removable.CHECKPOINTS in left_of(database, source)
    assert finish(database, lease)
    advance_clock(DAY / 24)
    remove_all(database)
    assert left_of(database, source) == set()


def test_a_checkpoint_that_is_locked_for_a_new_job_is_there_or_is_refused(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str]
) -> None:
    set_retention(database, ALL_AFTER_A_WEEK)
    source = full_job()
    with database.write() as session:
        checkpoints.lock(session, source, "best")
    advance_clock(8 * DAY)
    remove_all(database)
    with database.write() as session, pytest.raises(Expired):
        checkpoints.lock(session, source, "best")


def test_a_step_removes_a_bounded_number_of_rows(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "ROWS", 3)
    set_retention(database, ALL_AFTER_A_WEEK)
    job_ids = [full_job() for _ in range(2)]
    advance_clock(8 * DAY)
    sizes = []
    while True:
        with database.write() as session:
            removed = removals.remove_some(session)
        if removed is None:
            break
        sizes.append(removed.rows)
    assert max(sizes) == 3
    for job_id in job_ids:
        assert left_of(database, job_id) == set()
        assert len(event_kinds(database, job_id)) == 5  # each told once


def test_an_extended_job_loses_nothing_and_counts_its_days_from_its_new_end(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str], claim: Claim
) -> None:
    set_retention(database, Retention(logs_days=7))
    job_id = full_job()
    advance_clock(8 * DAY)
    remove_all(database)
    with database.write() as session:
        actions.extend(session, job_id, 1)
    assert get_job(database, job_id).retention_due_at is None
    leave_everything(database, job_id)
    lease = claim().lease
    advance_clock(8 * DAY)
    remove_all(database)
    assert left_of(database, job_id) == EVERYTHING
    assert finish(database, lease)
    advance_clock(6 * DAY)
    remove_all(database)
    assert left_of(database, job_id) == EVERYTHING
    advance_clock(2 * DAY)
    remove_all(database)
    assert left_of(database, job_id) == EVERYTHING - {Removable.LOGS}
    assert event_kinds(database, job_id).count(EventKind.REMOVED) == 2


def test_a_deleted_job_is_left_to_the_purger(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str]
) -> None:
    set_retention(database, ALL_AFTER_A_WEEK)
    job_id = full_job()
    with database.write() as session:
        jobs.delete(session, job_id)
    advance_clock(8 * DAY)
    assert remove_all(database).rows == 0
    with database.read() as session:
        assert retention_preview.read(session) == []


def test_the_preview_says_what_the_steps_remove(
    database: Database, advance_clock: AdvanceClock, full_job: Callable[..., str]
) -> None:
    set_retention(database, ALL_AFTER_A_WEEK.model_copy(update={"keep_checkpoints": KeptCheckpoints.BEST_AND_LAST}))
    full_job(), full_job("failed"), full_job("running")
    change(database, full_job(), keep=True)
    advance_clock(8 * DAY)
    young = full_job()
    advance_clock(2 * DAY)
    with database.read() as session:
        due = retention_preview.read(session)
    by_kind = {amount.what: amount for amount in due}
    assert by_kind[Removable.OTHER_CHECKPOINTS].jobs == 1  # the young one; of the others, all checkpoints go
    assert by_kind[Removable.CHECKPOINTS].jobs == 2
    removed = remove_all(database)
    # What tells that something was removed is an event, which stays.
    assert sum(amount.rows for amount in due) == removed.rows
    files = {Removable.SNAPSHOTS, Removable.CHECKPOINTS, Removable.OTHER_CHECKPOINTS, Removable.ARTIFACTS}
    assert sum(amount.bytes for amount in due if amount.what in files) == removed.bytes
    assert left_of(database, young) == EVERYTHING - {Removable.OTHER_CHECKPOINTS}
    with database.read() as session:
        assert retention_preview.read(session) == []


def test_a_step_does_not_read_jobs_that_are_not_due(database: Database, submit: Submit) -> None:
    submit()
    with database.write() as session:
        session.execute(update(Job).values(retention_due_at=None))
        explain = "EXPLAIN QUERY PLAN" if session.get_bind().dialect.name == "sqlite" else "SET enable_seqscan = off"
        if not explain.startswith("EXPLAIN"):
            session.connection().exec_driver_sql(explain)
            explain = "EXPLAIN"
        query = "SELECT id FROM jobs WHERE retention_due_at <= '2026-01-01' ORDER BY retention_due_at, id LIMIT 50"
        plan = session.connection().exec_driver_sql(f"{explain} {query}").all()
    assert "ix_jobs_retention_due_at" in str(plan)


def test_a_running_job_can_be_kept(database: Database, job_in_state: JobInState) -> None:
    job_id = job_in_state("running")
    change(database, job_id, keep=True)
    assert event_kinds(database, job_id)[-1] is EventKind.CHANGED
    assert events_of(database, job_id)[-1].data["changes"] == {"keep": {"from": False, "to": True}}


def test_leases_stay_while_a_job_is_kept(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit(keep=True)
    lease = claim().lease
    change(database, job_id, keep=False)
    with database.write() as session:
        assert leases.renew(session, lease, 30.0) is not None
