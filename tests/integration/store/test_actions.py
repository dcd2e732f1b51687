"""What users ask of jobs, in each state: what it does, who asked, and that a second time changes nothing."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from fitqueue.errors import JobEnded, JobNotEnded, JobNotExtendable, JobNotFound
from fitqueue.spec import MAX_EPOCHS, JobSpec
from fitqueue.states import EXTENDABLE, EventKind, JobState, Phase, Reason
from service.db import Database
from service.models import Event, Job
from service.store import actions, datasets, jobs, leases, recording, snapshots, tokens
from service.store.leases import ClaimedJob, Lease
from service.store.recording import EpochRecord
from service.store.snapshots import SnapshotRecord

Submit = Callable[..., str]
Claim = Callable[..., ClaimedJob | None]
Take = Callable[..., ClaimedJob]
Later = Callable[[float], None]
MakeSpec = Callable[..., JobSpec]

EPOCHS, MORE = 5, 3
BY = {"by": "ada"}


def train(database: Database, lease: Lease, epoch: int = 1) -> None:
    """An epoch, and the snapshot after it."""
    epochs = EpochRecord(epoch, {"loss": 1.0}, learning_rate=0.1, next_learning_rate=0.1, seconds=1.0, steps=3)
    snapshot = SnapshotRecord(f"snapshots/{lease.job_id}/{lease.attempt}-{epoch}", epoch, 0, 10, "0" * 64)
    with database.write() as session:
        recording.record_phase(session, lease, Phase.TRAINING)
        recording.record_epoch(session, lease, epochs)
        snapshots.record(session, lease, snapshot)


def end(database: Database, lease: Lease, reason: Reason) -> None:
    with database.write() as session:
        assert leases.finish(session, lease, reason, "as told")


def requeue(database: Database, lease: Lease) -> None:
    with database.write() as session:
        assert leases.requeue(session, lease, "The worker was shut down.")


def fail_attempt(database: Database, lease: Lease) -> None:
    with database.write() as session:
        assert leases.fail_attempt(session, lease, "The training process was killed")


def job_of(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get(session, job_id)


def events_of(database: Database, job_id: str) -> list[tuple[EventKind, dict[str, Any]]]:
    with database.read() as session:
        rows = session.execute(select(Event.kind, Event.data).where(Event.job_id == job_id).order_by(Event.id))
        return [(kind, data) for kind, data in rows]


def columns(job: Job) -> dict[str, Any]:
    return {column.name: getattr(job, column.name) for column in Job.__table__.columns}


@pytest.fixture
def ada(database: Database) -> str:
    """The id of the token of that name."""
    with database.write() as session:
        token_id = tokens.verify(session, tokens.create(session, "ada"))
    assert token_id is not None
    return token_id


@pytest.fixture
def wish(database: Database, ada: str) -> Callable[..., Job]:
    """Has Ada ask it of the job; the job as the store answered."""
    by_name: dict[str, Callable[..., Job]] = {
        "cancel": actions.cancel,
        "pause": actions.pause,
        "resume": actions.resume,
        "extend": lambda session, job_id, by: actions.extend(session, job_id, MORE, by),
    }

    def wish(name: str, job_id: str) -> Job:
        with database.write() as session:
            return by_name[name](session, job_id, ada)

    return wish


@pytest.fixture
def job_in(database: Database, submit: Submit, take: Take, wish: Callable[..., Job]) -> Callable[..., str]:
    """A job in this state; where it has run, an epoch of it was trained and a snapshot taken."""

    def make(state: str) -> str:
        job_id = submit()
        if state == "paused":
            wish("pause", job_id)
        elif state != "queued":
            lease = take().lease
            train(database, lease)
            if (reason := ENDS.get(state)) is not None:
                end(database, lease, reason)
        return job_id

    return make


ENDS = {"succeeded": Reason.COMPLETED, "failed": Reason.MAX_RUNTIME, "cancelled": Reason.CANCELLED_BY_USER}
CANCELLED = (EventKind.CANCELLED, {"reason": "cancelled_by_user", **BY})
EXTENDED = (EventKind.EXTENDED, {"epochs": MORE, **BY})

ANSWERS: dict[tuple[str, str], tuple[str, tuple[EventKind, dict[str, Any]] | None]] = {
    ("cancel", "queued"): ("cancelled", CANCELLED),
    ("cancel", "running"): ("running", (EventKind.CANCEL_REQUESTED, BY)),
    ("cancel", "paused"): ("cancelled", CANCELLED),
    ("cancel", "cancelled"): ("cancelled", None),
    ("pause", "queued"): ("paused", (EventKind.PAUSED, BY)),
    ("pause", "running"): ("running", (EventKind.PAUSE_REQUESTED, BY)),
    ("pause", "paused"): ("paused", None),
    ("resume", "queued"): ("queued", None),
    ("resume", "running"): ("running", None),
    ("resume", "paused"): ("queued", (EventKind.UNPAUSED, BY)),
    ("extend", "succeeded"): ("queued", EXTENDED),
    ("extend", "failed"): ("queued", EXTENDED),
    ("extend", "cancelled"): ("queued", EXTENDED),
}
REFUSALS: dict[tuple[str, str], type[Exception]] = {
    **{("cancel", state): JobEnded for state in ("succeeded", "failed")},
    **{(name, state): JobEnded for name in ("pause", "resume") for state in ENDS},
    **{("extend", state): JobNotEnded for state in ("queued", "running", "paused")},
}


def test_every_wish_in_every_state_is_in_the_tables() -> None:
    known = [*ANSWERS, *REFUSALS]
    every = {(name, str(state)) for name in ("cancel", "pause", "resume", "extend") for state in JobState}
    assert (set(known), len(known)) == (every, len(every))


@pytest.mark.parametrize(("name", "state"), ANSWERS, ids=map(" ".join, ANSWERS))
def test_what_a_wish_does_and_that_the_second_does_nothing(
    name: str, state: str, database: Database, job_in: Callable[..., str], wish: Callable[..., Job]
) -> None:
    job_id = job_in(state)
    before, events_before = job_of(database, job_id), events_of(database, job_id)
    wanted_state, event = ANSWERS[name, state]

    answered, asked = columns(wish(name, job_id)), columns(job_of(database, job_id))
    assert answered == asked
    assert asked["state"] == wanted_state
    assert events_of(database, job_id) == events_before + ([event] if event else [])
    assert asked["version"] == before.version + (event is not None)
    if event is None:
        assert asked == columns(before)

    assert columns(wish(name, job_id)) == asked
    assert columns(job_of(database, job_id)) == asked
    assert events_of(database, job_id) == events_before + ([event] if event else [])


@pytest.mark.parametrize(("name", "state"), REFUSALS, ids=map(" ".join, REFUSALS))
def test_what_cannot_be_asked_changes_nothing(
    name: str, state: str, database: Database, job_in: Callable[..., str], wish: Callable[..., Job]
) -> None:
    job_id = job_in(state)
    before, events_before = columns(job_of(database, job_id)), events_of(database, job_id)
    with pytest.raises(REFUSALS[name, state], match=rf"{job_id}.* {state}"):
        wish(name, job_id)
    assert columns(job_of(database, job_id)) == before
    assert events_of(database, job_id) == events_before


@pytest.mark.parametrize("name", ["cancel", "pause", "resume", "extend"])
def test_nothing_can_be_asked_of_no_job(name: str, wish: Callable[..., Job]) -> None:
    with pytest.raises(JobNotFound, match="job_none"):
        wish(name, "job_none")


def test_a_token_that_was_revoked_keeps_its_name_and_none_is_nobody(
    database: Database, submit: Submit, take: Take, ada: str
) -> None:
    job_id = submit()
    take()
    with database.write() as session:
        tokens.revoke(session, ada)
        actions.pause(session, job_id, ada)
        actions.cancel(session, job_id)
    assert events_of(database, job_id)[-2:] == [
        (EventKind.PAUSE_REQUESTED, {"by": "ada"}),
        (EventKind.CANCEL_REQUESTED, {"by": None}),
    ]


# --- Pause and resume -----------------------------------------------------------------------------------------------

LEFT: dict[str, Callable[[Database, Lease, Later], None]] = {
    "put back": lambda database, lease, later: requeue(database, lease),
    "lost": lambda database, lease, later: fail_attempt(database, lease),
    "expired": lambda database, lease, later: expire(database, later),
}


def expire(database: Database, later: Later) -> None:
    later(31)
    with database.write() as session:
        assert leases.expire_leases(session) == [], "no pool has work by this"


@pytest.mark.parametrize("how", LEFT)
def test_a_job_that_was_to_be_paused_is_when_it_leaves_its_worker(
    how: str, database: Database, submit: Submit, take: Take, claim: Claim, later: Later, wish: Callable[..., Job]
) -> None:
    job_id = submit()
    lease = take().lease
    train(database, lease)
    wish("pause", job_id)
    with database.write() as session:
        renewal = leases.renew(session, lease, 30.0)
    assert renewal == leases.Renewal(cancel_requested=False, pause_requested=True)
    LEFT[how](database, lease, later)

    job = job_of(database, job_id)
    assert (job.state, job.reason, job.finished_at) == (JobState.PAUSED, None, None)
    assert (job.worker_id, job.lease_expires_at, job.claimed_at, job.phase) == (None, None, None, None)
    assert (job.pause_requested_at, job.cancel_requested_at) == (None, None)
    assert job.failed_attempts == (how != "put back")
    assert [kind for kind, _ in events_of(database, job_id)][-2:] == [EventKind.PAUSE_REQUESTED, EventKind.PAUSED]
    later(1_000)
    assert claim() is None
    with database.read() as session:
        assert leases.pools_with_work(session) == []
    used = job.seconds_used

    wish("resume", job_id)
    again = take("w2")
    assert again.lease == Lease(job_id, 2, "w2")
    assert again.seconds_used == used, "the time of a pause is not the job's"
    with database.write() as session:
        assert leases.renew(session, again.lease, 30.0) == leases.Renewal(cancel_requested=False, pause_requested=False)


def test_the_last_attempt_of_a_job_that_was_to_be_paused(
    database: Database, submit: Submit, take: Take, wish: Callable[..., Job]
) -> None:
    """There is nothing for which it could wait."""
    job_id = submit(max_attempts=1)
    lease = take().lease
    wish("pause", job_id)
    fail_attempt(database, lease)
    job = job_of(database, job_id)
    assert (job.state, job.reason, job.pause_requested_at) == (JobState.FAILED, Reason.WORKER_LOST, None)


def test_resuming_takes_the_wish_back(database: Database, submit: Submit, take: Take, wish: Callable[..., Job]) -> None:
    job_id = submit()
    lease = take().lease
    wish("pause", job_id)
    for _ in range(2):
        job = wish("resume", job_id)
        assert (job.state, job.pause_requested_at) == (JobState.RUNNING, None)
    assert events_of(database, job_id)[-2:] == [(EventKind.PAUSE_REQUESTED, BY), (EventKind.UNPAUSED, BY)]
    with database.write() as session:
        assert leases.renew(session, lease, 30.0) == leases.Renewal(cancel_requested=False, pause_requested=False)
    requeue(database, lease)
    assert job_of(database, job_id).state is JobState.QUEUED


def test_a_job_that_ends_before_it_could_be_paused_has_ended(
    database: Database, submit: Submit, take: Take, wish: Callable[..., Job]
) -> None:
    job_id = submit()
    lease = take().lease
    wish("pause", job_id)
    end(database, lease, Reason.COMPLETED)
    job = job_of(database, job_id)
    assert (job.state, job.pause_requested_at) == (JobState.SUCCEEDED, None)


def test_a_pause_ends_the_backing_off(
    database: Database, submit: Submit, take: Take, claim: Claim, later: Later, wish: Callable[..., Job]
) -> None:
    """Who resumes a job wants it to run now."""
    job_id = submit()
    for _ in range(2):
        later(leases.LONGEST_BACKOFF_SECONDS)
        fail_attempt(database, take().lease)
    assert claim() is None
    wish("pause", job_id)
    wish("resume", job_id)
    assert take().lease.attempt == 3


# --- Cancel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["pause", "cancel"])
@pytest.mark.parametrize("how", LEFT)
def test_cancel_wins_over_pause(
    first: str, how: str, database: Database, submit: Submit, take: Take, later: Later, wish: Callable[..., Job]
) -> None:
    job_id = submit(max_attempts=1)
    lease = take().lease
    for name in (first, {"pause": "cancel", "cancel": "pause"}[first]):
        wish(name, job_id)
    with database.write() as session:
        assert leases.renew(session, lease, 30.0) == leases.Renewal(cancel_requested=True, pause_requested=True)
    LEFT[how](database, lease, later)
    job = job_of(database, job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY_USER)
    assert (job.lease_expires_at, job.pause_requested_at) == (None, None)
    assert EventKind.PAUSED not in [kind for kind, _ in events_of(database, job_id)]


def test_resuming_does_not_take_back_that_it_was_cancelled(
    database: Database, submit: Submit, take: Take, wish: Callable[..., Job]
) -> None:
    job_id = submit()
    lease = take().lease
    for name in ("pause", "cancel", "resume"):
        wish(name, job_id)
    requeue(database, lease)
    assert job_of(database, job_id).state is JobState.CANCELLED


def test_a_cancelled_job_is_not_claimed_and_a_claimed_one_is_asked(
    database: Database, submit: Submit, wish: Callable[..., Job]
) -> None:
    """However the two meet: nothing is lost of what somebody asked."""
    ids = [submit() for _ in range(20)]
    start = threading.Barrier(2)
    claimed: list[str] = []
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            failures.append(error)

    def cancel_all() -> None:
        for job_id in reversed(ids):
            wish("cancel", job_id)

    def claim_all() -> None:
        while True:
            with database.write() as session:
                found = leases.claim(session, "w1", ["default"], [], 30.0)
            if found is None:
                return
            claimed.append(found.lease.job_id)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (cancel_all, claim_all)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for job_id in ids:
        job, kinds = job_of(database, job_id), [kind for kind, _ in events_of(database, job_id)]
        if job_id in claimed:
            assert (job.state, job.attempt) == (JobState.RUNNING, 1)
            assert job.cancel_requested_at is not None
        else:
            assert (job.state, job.attempt) == (JobState.CANCELLED, 0)
        assert (EventKind.CLAIMED in kinds) == (job_id in claimed)


# --- Extend ---------------------------------------------------------------------------------------------------------


def test_an_extension_gives_epochs_and_begins_to_count_anew(
    database: Database, submit: Submit, take: Take, later: Later, wish: Callable[..., Job]
) -> None:
    job_id = submit(max_attempts=3, max_runtime_seconds=60)
    fail_attempt(database, take(seconds=30).lease)
    later(100)
    lease = take().lease
    train(database, lease, 1)
    train(database, lease, 2)
    wish("cancel", job_id)
    end(database, lease, Reason.EARLY_STOPPED)
    ended = job_of(database, job_id)
    assert ended.failed_attempts == ended.stalled_attempts == 1
    assert ended.cancel_requested_at is not None

    extended = wish("extend", job_id)
    assert (extended.state, extended.epochs, extended.spec["fit"]["epochs"]) == (JobState.QUEUED, 8, 8)
    assert {**extended.spec, "fit": ended.spec["fit"]} == ended.spec
    assert (extended.epoch, extended.extended_at_epoch, extended.extended_by_epochs) == (2, 2, MORE)
    assert (extended.failed_attempts, extended.stalled_attempts, extended.seconds_used) == (0, 0, 0.0)
    assert (extended.reason, extended.message, extended.finished_at, extended.worker_id) == (None, None, None, None)
    assert (extended.cancel_requested_at, extended.pause_requested_at, extended.not_before) == (None, None, None)
    assert extended.started_at == ended.started_at

    again = take("w2")
    assert again.lease == Lease(job_id, 3, "w2"), "attempts go on: they fence"
    assert (again.spec["fit"]["epochs"], again.extended_at_epoch, again.stalled_attempts, again.seconds_used) == (
        8,
        2,
        0,
        0.0,
    )
    with database.write() as session:
        assert not leases.finish(session, lease, Reason.COMPLETED, "late"), "that end was taken back"
        assert leases.renew(session, again.lease, 30.0) == leases.Renewal(cancel_requested=False, pause_requested=False)
    for epoch in range(3, 9):
        train(database, again.lease, epoch)
    end(database, again.lease, Reason.COMPLETED)
    kinds = [kind for kind, _ in events_of(database, job_id)]
    assert kinds.count(EventKind.SUCCEEDED) == 2
    twice = wish("extend", job_id)
    assert (twice.epochs, twice.extended_at_epoch, twice.extended_by_epochs) == (11, 8, MORE)


@pytest.mark.parametrize("state", ["queued", "running", "to be paused", "paused", "to be cancelled"])
def test_the_same_extension_before_the_end_changes_nothing_and_another_is_refused(
    state: str, database: Database, job_in: Callable[..., str], take: Take, wish: Callable[..., Job]
) -> None:
    job_id = job_in("succeeded")
    wish("extend", job_id)
    if state != "queued":
        lease = take().lease
        if state != "running":
            wish("cancel" if state == "to be cancelled" else "pause", job_id)
        if state == "paused":
            requeue(database, lease)
    before, events_before = columns(job_of(database, job_id)), events_of(database, job_id)
    assert columns(wish("extend", job_id)) == before
    with pytest.raises(JobNotEnded), database.write() as session:
        actions.extend(session, job_id, MORE + 1)
    assert columns(job_of(database, job_id)) == before
    assert events_of(database, job_id) == events_before


def test_extensions_at_the_same_moment_are_one(
    database: Database, job_in: Callable[..., str], wish: Callable[..., Job]
) -> None:
    job_id = job_in("succeeded")
    start = threading.Barrier(6)
    answered: list[int] = []

    def extend() -> None:
        start.wait()
        answered.append(wish("extend", job_id).epochs)

    threads = [threading.Thread(target=extend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answered == [EPOCHS + MORE] * 6
    assert events_of(database, job_id).count(EXTENDED) == 1


@pytest.mark.parametrize("reason", list(Reason))
def test_only_what_more_epochs_can_mend_is_extended(
    reason: Reason, database: Database, submit: Submit, take: Take, wish: Callable[..., Job]
) -> None:
    job_id = submit()
    lease = take().lease
    train(database, lease)
    end(database, lease, reason)
    if reason in EXTENDABLE:
        assert wish("extend", job_id).state is JobState.QUEUED
    else:
        with pytest.raises(JobNotExtendable, match=f"{job_id} ended with {reason}"):
            wish("extend", job_id)


def test_a_job_that_left_no_snapshot_cannot_be_extended(
    database: Database, submit: Submit, take: Take, wish: Callable[..., Job]
) -> None:
    waited, ran = submit(), submit()
    wish("cancel", waited)
    end(database, take().lease, Reason.CANCELLED_BY_USER)
    for job_id in (waited, ran):
        with pytest.raises(JobNotExtendable, match="before there was anything to go on from"):
            wish("extend", job_id)
        assert job_of(database, job_id).state is JobState.CANCELLED


def of_letters(make_spec: MakeSpec) -> JobSpec:
    """A job whose data set somebody uploaded."""
    spec = make_spec()
    return spec.model_copy(update={"data": spec.data.model_copy(update={"dataset": "letters"})})


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "another by that name"])
def test_a_job_whose_data_set_was_deleted_cannot_be_extended(
    again: bool, database: Database, make_spec: MakeSpec, take: Take, wish: Callable[..., Job]
) -> None:
    def upload(dataset_id: str) -> None:
        with database.write() as session:
            datasets.create(session, dataset_id, "letters", dataset_id, 10, [])

    upload("ds_1")
    with database.write() as session:
        job_id = jobs.create(session, of_letters(make_spec), [], dataset_id="ds_1").id
    lease = take().lease
    train(database, lease)
    end(database, lease, Reason.COMPLETED)
    wish("extend", job_id)
    end(database, take().lease, Reason.COMPLETED)
    with database.write() as session:
        datasets.delete(session, "letters")
    if again:
        upload("ds_2")
    with pytest.raises(JobNotExtendable, match="'letters'"):
        wish("extend", job_id)


def test_an_extension_while_the_data_set_is_deleted(
    database: Database,
    make_spec: MakeSpec,
    take: Take,
    claim: Claim,
    wish: Callable[..., Job],
) -> None:
    """One of the two is refused: no worker is given a job without its data."""
    with database.write() as session:
        datasets.create(session, "ds_1", "letters", "a", 10, [])
        job_id = jobs.create(session, of_letters(make_spec), [], dataset_id="ds_1").id
    lease = take().lease
    train(database, lease)
    end(database, lease, Reason.COMPLETED)
    refused: list[Exception] = []

    def extend() -> None:
        try:
            wish("extend", job_id)
        except JobNotExtendable as error:
            refused.append(error)

    extension = threading.Thread(target=extend)
    with database.write() as session:
        delete = session.delete

        def delete_late(row: object) -> None:
            extension.start()
            extension.join(1)  # it waits for this transaction, or else is faster
            delete(row)

        session.delete = delete_late  # type: ignore[method-assign]
        datasets.delete(session, "letters")
    extension.join(20)
    assert len(refused) == 1
    assert claim() is None


def test_a_job_has_a_million_epochs_at_most(database: Database, job_in: Callable[..., str]) -> None:
    job_id = job_in("succeeded")
    with pytest.raises(JobNotExtendable, match="1,000,000"), database.write() as session:
        actions.extend(session, job_id, MAX_EPOCHS - EPOCHS + 1)
    with database.write() as session:
        assert actions.extend(session, job_id, MAX_EPOCHS - EPOCHS).epochs == MAX_EPOCHS
