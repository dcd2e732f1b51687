"""What the service keeps of one job at the most: checkpoints, their bytes, and events about epochs and checkpoints."""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy.orm import Session

from fitqueue.reports import CheckpointWritten
from fitqueue.states import EventKind, Reason
from service.db import Database
from service.models import Job
from service.store import attempt_outcomes, checkpoints, leases, logs, recording
from service.store.leases import Lease
from service.store.limits import JobLimits, LimitReached
from tests.integration.fixture_types import Claim, Submit
from tests.integration.store.operations import events_of, get_job, requeue
from tests.reports import checkpoint_written, epoch_ended, printed


@pytest.fixture
def lease(submit: Submit, claim: Claim) -> Lease:
    submit(fit={"epochs": 50})
    return claim().lease


def write(database: Database, lease: Lease, record: Callable[[Session, Job], object]) -> None:
    with database.write() as session:
        record(session, leases.held_job(session, lease))


def save(database: Database, lease: Lease, limits: JobLimits, epoch: int, *names: str, size: int = 1) -> None:
    written: CheckpointWritten = checkpoint_written(names, epoch).model_copy(update={"size": size})
    key = f"checkpoints/a/{epoch}"
    write(
        database,
        lease,
        lambda session, job: recording.record_checkpoint(session, job, written, key, limits),
    )


def names_of(database: Database, lease: Lease) -> list[str]:
    with database.read() as session:
        return sorted(row.name for row in checkpoints.list_page(session, lease.job_id, None, 100))


def test_a_checkpoint_beyond_the_limit_leaves_no_trace(database: Database, lease: Lease) -> None:
    limits = JobLimits(checkpoints=2)
    for epoch in (1, 2):
        save(database, lease, limits, epoch, f"e{epoch}", "best", "last")
    before = get_job(database, lease.job_id)
    with pytest.raises(LimitReached, match="FITQUEUE_MAX_CHECKPOINTS"):
        save(database, lease, limits, 3, "e3", "last")
    assert names_of(database, lease) == ["best", "e1", "e2", "last"]
    after = get_job(database, lease.job_id)
    assert (after.version, after.best_epoch) == (before.version, 2)
    save(database, lease, limits, 3, "e2", "best", "last")  # names that are used again


def test_a_file_counts_once_whatever_its_names(database: Database, lease: Lease) -> None:
    limits = JobLimits(checkpoint_bytes=100)
    save(database, lease, limits, 1, "e1", "best", "last", size=60)
    with pytest.raises(LimitReached, match="120 bytes"):
        save(database, lease, limits, 2, "e2", size=60)
    save(database, lease, limits, 2, "e1", "best", "last", size=90)  # it replaces the first file
    assert names_of(database, lease) == ["best", "e1", "last"]


def test_events_beyond_the_limit_are_counted(database: Database, lease: Lease) -> None:
    limits = JobLimits(events=4)
    for epoch in range(1, 6):
        ended = epoch_ended(epoch, {"loss": 1 / epoch})
        write(database, lease, partial(recording.record_epoch, ended=ended, limits=limits))
        save(database, lease, limits, epoch, f"e{epoch}", "best", "last")
    kinds = [event.kind for event in events_of(database, lease.job_id)]
    first = [EventKind.EPOCH_ENDED, EventKind.CHECKPOINT_SAVED, EventKind.BEST_IMPROVED, EventKind.EPOCH_ENDED]
    assert kinds == [EventKind.SUBMITTED, EventKind.CLAIMED, *first, EventKind.EVENTS_LEFT_OUT]
    job = get_job(database, lease.job_id)
    assert (job.bounded_events, job.events_left_out, job.epoch, job.best_epoch) == (4, 11, 5, 5)
    assert len(names_of(database, lease)) == 7

    requeue(database, lease)
    event = events_of(database, lease.job_id)[-1]
    assert (event.kind, event.data["events_left_out"]) == (EventKind.REQUEUED, 11)


def test_the_end_of_a_job_says_how_many_events_were_left_out(database: Database, lease: Lease) -> None:
    for epoch in (1, 2, 3):
        ended = epoch_ended(epoch, {"loss": 1.0})
        write(database, lease, partial(recording.record_epoch, ended=ended, limits=JobLimits(events=1)))
    with database.write() as session:
        assert attempt_outcomes.finish(session, lease, Reason.COMPLETED, "All was trained.")
    event = events_of(database, lease.job_id)[-1]
    assert (event.kind, event.data) == (EventKind.SUCCEEDED, {"reason": "completed", "events_left_out": 2})


def print_lines(database: Database, lease: Lease, texts: list[str], limits: JobLimits) -> None:
    lines = [printed(text) for text in texts]
    write(database, lease, lambda session, job: recording.record_lines(session, job, lines, limits))


def log_of(database: Database, lease: Lease) -> list[str]:
    with database.read() as session:
        return [line.text for line in logs.tail(session, lease.job_id, 1000)]


def test_the_oldest_lines_go_when_a_log_has_too_many_bytes(database: Database, lease: Lease) -> None:
    limits = JobLimits(log_bytes=100)
    print_lines(database, lease, ["é" * 20, "b" * 60], limits)  # 40 and 60 bytes
    assert EventKind.LOG_LINES_LEFT_OUT not in [event.kind for event in events_of(database, lease.job_id)]
    print_lines(database, lease, ["c"], limits)
    assert log_of(database, lease) == ["b" * 60, "c"]
    print_lines(database, lease, [str(n) * 10 for n in range(8)], limits)
    assert log_of(database, lease) == ["c", *(str(n) * 10 for n in range(8))]
    job = get_job(database, lease.job_id)
    assert (job.log_bytes, job.log_lines_left_out) == (81, 2)
    kinds = [event.kind for event in events_of(database, lease.job_id)]
    assert kinds.count(EventKind.LOG_LINES_LEFT_OUT) == 1
    requeue(database, lease)
    assert events_of(database, lease.job_id)[-1].data["log_lines_left_out"] == 2


def test_the_oldest_lines_go_when_there_are_too_many(
    database: Database, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_LINES", 3)
    for n in range(5):
        print_lines(database, lease, [f"line {n}"], JobLimits())
    assert log_of(database, lease) == ["line 2", "line 3", "line 4"]
    job = get_job(database, lease.job_id)
    assert (job.log_bytes, job.log_lines_left_out) == (18, 2)
    assert [event.kind for event in events_of(database, lease.job_id)].count(EventKind.LOG_LINES_LEFT_OUT) == 1
