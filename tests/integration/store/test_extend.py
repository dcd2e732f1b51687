"""Extending ended jobs by more epochs."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from fitqueue.errors import JobNotEnded, JobNotExtendable
from fitqueue.spec import MAX_EPOCHS, JobSpec
from fitqueue.states import EXTENDABLE, EventKind, JobState, Reason
from service.db import Database
from service.store import actions, datasets, jobs, leases
from service.store.leases import Lease, StopRequests
from tests.integration.fixture_types import AdvanceClock, Claim, MakeSpec, Perform, Submit, TryClaim
from tests.integration.store.operations import (
    MORE_EPOCHS,
    columns_of,
    event_data,
    event_kinds,
    fail_attempt,
    finish,
    get_job,
    record_snapshot,
    requeue,
    train_epoch,
)

PLANNED = 5
"""The epochs of a job as it is submitted."""


def test_an_extended_job_has_more_epochs_and_its_attempts_and_runtime_reset(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock, perform: Perform
) -> None:
    job_id = submit(max_attempts=3, max_runtime_seconds=60)
    fail_attempt(database, claim(seconds=30).lease)
    advance_clock(100)
    lease = claim().lease
    train_epoch(database, lease, 1)
    train_epoch(database, lease, 2)
    perform("cancel", job_id)
    assert finish(database, lease, Reason.EARLY_STOPPED)
    ended = get_job(database, job_id)
    assert ended.failed_attempts == ended.stalled_attempts == 1
    assert ended.cancel_requested_at is not None

    perform("extend", job_id)
    extended = get_job(database, job_id)
    epochs = 2 + MORE_EPOCHS
    assert (extended.state, extended.epochs, extended.spec["fit"]["epochs"]) == (JobState.QUEUED, epochs, epochs)
    assert {**extended.spec, "fit": ended.spec["fit"]} == ended.spec
    assert (extended.epoch, extended.extended_at_epoch, extended.extended_by_epochs) == (2, 2, MORE_EPOCHS)
    assert (extended.failed_attempts, extended.stalled_attempts, extended.seconds_used) == (0, 0, 0.0)
    assert (extended.reason, extended.message, extended.finished_at, extended.worker_id) == (None, None, None, None)
    assert (extended.cancel_requested_at, extended.pause_requested_at, extended.not_before) == (None, None, None)
    assert extended.started_at == ended.started_at

    claimed = claim("w2")
    assert claimed.lease == Lease(job_id, 3, "w2"), "attempt numbers continue, because they fence"
    assert (claimed.spec["fit"]["epochs"], claimed.extended_at_epoch) == (epochs, 2)
    assert (claimed.stalled_attempts, claimed.seconds_used) == (0, 0.0)
    assert not finish(database, lease), "the end of that attempt was undone"
    with database.write() as session:
        assert leases.renew(session, claimed.lease, 30.0) == StopRequests(cancel=False, pause=False)
    for epoch in range(3, epochs + 1):
        train_epoch(database, claimed.lease, epoch)
    assert finish(database, claimed.lease)
    assert event_kinds(database, job_id).count(EventKind.SUCCEEDED) == 2
    extended_again = perform("extend", job_id)
    assert (extended_again.epochs, extended_again.extended_at_epoch, extended_again.extended_by_epochs) == (
        epochs + MORE_EPOCHS,
        epochs,
        MORE_EPOCHS,
    )


@pytest.mark.parametrize("reason", sorted(EXTENDABLE))
@pytest.mark.parametrize("trained", [1, PLANNED])
def test_the_epochs_are_added_to_those_that_were_trained_and_not_to_those_that_were_planned(
    reason: Reason, trained: int, database: Database, submit: Submit, claim: Claim, perform: Perform
) -> None:
    job_id = submit()
    lease = claim().lease
    for epoch in range(1, trained + 1):
        train_epoch(database, lease, epoch)
    assert finish(database, lease, reason)
    perform("extend", job_id)
    extended = get_job(database, job_id)
    assert (extended.epochs, extended.spec["fit"]["epochs"]) == (trained + MORE_EPOCHS,) * 2


def test_an_epoch_that_was_interrupted_is_one_of_those_that_are_added(
    database: Database, submit: Submit, claim: Claim, perform: Perform
) -> None:
    job_id = submit()
    lease = claim().lease
    train_epoch(database, lease, 1)
    record_snapshot(database, lease, 1, step=3)
    assert finish(database, lease, Reason.CANCELLED_BY_USER)
    assert perform("extend", job_id).epochs == 1 + MORE_EPOCHS


def test_an_extension_that_was_cancelled_before_it_trained_does_not_count(
    job_in_state: Callable[[str], str], perform: Perform
) -> None:
    job_id = job_in_state("succeeded")
    for _ in range(2):
        assert perform("extend", job_id).epochs == 1 + MORE_EPOCHS
        perform("cancel", job_id)


@pytest.mark.parametrize("state", ["queued", "running", "asked to pause", "paused", "asked to stop"])
def test_until_the_job_ends_the_same_extension_changes_nothing_and_another_is_refused(
    state: str, database: Database, job_in_state: Callable[[str], str], claim: Claim, perform: Perform
) -> None:
    job_id = job_in_state("succeeded")
    perform("extend", job_id)
    if state != "queued":
        lease = claim().lease
        if state != "running":
            perform("cancel" if state == "asked to stop" else "pause", job_id)
        if state == "paused":
            requeue(database, lease)
    before, events_before = columns_of(get_job(database, job_id)), event_data(database, job_id)
    assert columns_of(perform("extend", job_id)) == before
    with pytest.raises(JobNotEnded), database.write() as session:
        actions.extend(session, job_id, MORE_EPOCHS + 1)
    assert columns_of(get_job(database, job_id)) == before
    assert event_data(database, job_id) == events_before


def test_concurrent_extensions_count_once(
    database: Database, job_in_state: Callable[[str], str], perform: Perform
) -> None:
    job_id = job_in_state("succeeded")
    start = threading.Barrier(6)
    epochs: list[int] = []

    def extend() -> None:
        start.wait()
        epochs.append(perform("extend", job_id).epochs)

    threads = [threading.Thread(target=extend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert epochs == [1 + MORE_EPOCHS] * 6
    extended = (EventKind.EXTENDED, {"epochs": MORE_EPOCHS, "by": "ada"})
    assert event_data(database, job_id).count(extended) == event_kinds(database, job_id).count(EventKind.EXTENDED) == 1


# --- Jobs that cannot be extended -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", list(Reason))
def test_only_jobs_that_more_epochs_can_help_are_extended(
    reason: Reason, database: Database, submit: Submit, claim: Claim, perform: Perform
) -> None:
    job_id = submit()
    lease = claim().lease
    train_epoch(database, lease)
    assert finish(database, lease, reason)
    if reason in EXTENDABLE:
        assert perform("extend", job_id).state is JobState.QUEUED
    else:
        message = rf"^The job {job_id} ended with {reason}: more epochs would end the same way\.$"
        with pytest.raises(JobNotExtendable, match=message):
            perform("extend", job_id)


def test_a_job_without_a_snapshot_cannot_be_extended(
    database: Database, submit: Submit, claim: Claim, perform: Perform
) -> None:
    never_ran, ran = submit(), submit()
    perform("cancel", never_ran)
    assert finish(database, claim().lease, Reason.CANCELLED_BY_USER)
    for job_id in (never_ran, ran):
        message = rf"^The job {job_id} ended before it had a snapshot to resume from; submit it again\.$"
        with pytest.raises(JobNotExtendable, match=message):
            perform("extend", job_id)
        assert get_job(database, job_id).state is JobState.CANCELLED


def test_a_job_has_a_million_epochs_at_most(database: Database, job_in_state: Callable[[str], str]) -> None:
    job_id = job_in_state("succeeded")
    message = rf"^A job has at most 1,000,000 epochs; {job_id} would have 1,000,001\.$"
    with pytest.raises(JobNotExtendable, match=message), database.write() as session:
        actions.extend(session, job_id, MAX_EPOCHS)
    with database.write() as session:
        assert actions.extend(session, job_id, MAX_EPOCHS - 1).epochs == MAX_EPOCHS


# --- Jobs with an uploaded data set -----------------------------------------------------------------------------------


def _spec_with_letters(make_spec: MakeSpec) -> JobSpec:
    """Return a job with the uploaded data set `letters`."""
    spec = make_spec()
    return spec.model_copy(update={"data": spec.data.model_copy(update={"dataset": "letters"})})


@pytest.mark.parametrize("uploaded_again", [False, True], ids=["deleted", "another with the same name"])
def test_a_job_whose_data_set_was_deleted_cannot_be_extended(
    uploaded_again: bool, database: Database, make_spec: MakeSpec, claim: Claim, perform: Perform
) -> None:
    def upload(dataset_id: str) -> None:
        with database.write() as session:
            datasets.create(session, dataset_id, "letters", dataset_id, 10, {})

    upload("ds_1")
    with database.write() as session:
        job_id = jobs.create(session, _spec_with_letters(make_spec), [], dataset_id="ds_1").id
    lease = claim().lease
    train_epoch(database, lease)
    assert finish(database, lease)
    perform("extend", job_id)
    assert finish(database, claim().lease)
    with database.write() as session:
        datasets.delete(session, "letters")
    if uploaded_again:
        upload("ds_2")
    with pytest.raises(JobNotExtendable, match=rf"^The data set 'letters' of the job {job_id} was deleted\.$"):
        perform("extend", job_id)


def test_a_job_whose_data_set_nobody_has_used_cannot_be_extended(
    database: Database, make_spec: MakeSpec, claim: Claim, perform: Perform, advance_clock: AdvanceClock
) -> None:
    spec = make_spec()
    spec = spec.model_copy(update={"data": spec.data.model_copy(update={"dataset": "ds_1"})})
    with database.write() as session:
        datasets.create(session, "ds_1", "ds_1", "aa", 10, {})
        job_id = jobs.create(session, spec, [], dataset_id="ds_1").id
    lease = claim().lease
    train_epoch(database, lease)
    assert finish(database, lease)
    advance_clock(3600)
    with database.write() as session:
        assert datasets.delete_unused(session, timedelta(days=1), 10) == []
    perform("extend", job_id)
    advance_clock(2 * 24 * 3600)
    with database.write() as session:
        assert datasets.delete_unused(session, timedelta(days=1), 10) == []
    assert finish(database, claim().lease)
    advance_clock(2 * 24 * 3600)
    with database.write() as session:
        assert datasets.delete_unused(session, timedelta(days=1), 10) == ["datasets/ds_1.npz"]
    with pytest.raises(JobNotExtendable, match=rf"^The data set 'ds_1' of the job {job_id} was deleted\.$"):
        perform("extend", job_id)


def test_a_job_cannot_be_extended_while_its_data_set_is_deleted(
    database: Database, make_spec: MakeSpec, claim: Claim, try_claim: TryClaim, perform: Perform
) -> None:
    """The extension is refused, so that no worker gets a job without its data."""
    with database.write() as session:
        datasets.create(session, "ds_1", "letters", "a", 10, {})
        job_id = jobs.create(session, _spec_with_letters(make_spec), [], dataset_id="ds_1").id
    lease = claim().lease
    train_epoch(database, lease)
    assert finish(database, lease)
    refusals: list[Exception] = []

    def extend() -> None:
        try:
            perform("extend", job_id)
        except JobNotExtendable as error:
            refusals.append(error)

    extension = threading.Thread(target=extend)
    with database.write() as session:
        delete = session.delete

        def delete_late(row: object) -> None:
            extension.start()
            extension.join(1)  # it waits for this transaction, or else is faster
            delete(row)

        session.delete = delete_late  # type: ignore[method-assign]
        datasets.delete(session, "letters")
    extension.join(120)
    assert len(refusals) == 1
    assert try_claim() is None
