import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fitqueue.states import EventKind, Phase
from fitqueue.views import EventView
from service.db import Database
from service.store import actions, checkpoints, events, job_details, jobs, logs, metrics, recording
from service.store.leases import ClaimedJob, Lease
from service.store.recording import CheckpointRecord, EpochRecord, LineRecord

Submit = Callable[..., str]
Claim = Callable[..., ClaimedJob | None]


def _running(submit: Submit, claim: Claim, **fields: object) -> Lease:
    submit(**fields)
    claimed = claim()
    assert claimed is not None
    return claimed.lease


def _epoch(epoch: int, logs: dict[str, float], rate: float = 0.1, next_rate: float = 0.1) -> EpochRecord:
    return EpochRecord(epoch, logs, learning_rate=rate, next_learning_rate=next_rate, seconds=2.0, steps=10)


def _checkpoint(names: Sequence[str], key: str, epoch: int = 1, value: float = 0.5) -> CheckpointRecord:
    return CheckpointRecord(
        names=names,
        storage_key=key,
        format="weights.h5",
        epoch=epoch,
        batch=None,
        logs={"loss": value, "bad": math.nan},
        monitor="loss",
        value=value,
        size=10,
        sha256="0" * 64,
    )


def _events(database: Database, lease: Lease) -> list[EventView]:
    with database.read() as session:
        return events.list_after(session, lease.job_id, 0, 1000)


def test_the_longest_name_of_a_metric_fits_wherever_it_is_stored(
    database: Database, submit: Submit, claim: Claim
) -> None:
    lease = _running(submit, claim)
    monitor = "val_" + 252 * "m"
    with database.write() as session:
        recording.record_epoch(session, lease, _epoch(1, {monitor: 0.5}))
        recording.record_checkpoint(session, lease, replace(_checkpoint(["best"], "checkpoints/a/1"), monitor=monitor))
    with database.read() as session:
        view = job_details.view(session, jobs.get(session, lease.job_id), 30)
    assert view.best is not None
    assert view.best.monitor == monitor


def test_epochs_come_back_as_they_were_logged(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _running(submit, claim)
    logged = {"loss": 1 / 3, "accuracy": math.nan, "up": math.inf, "down": -math.inf}
    with database.write() as session:
        recording.record_epoch(session, lease, _epoch(1, logged))
        recording.record_epoch(session, lease, _epoch(2, {"loss": 0.25}))
    with database.read() as session:
        first, second = metrics.list_after(session, lease.job_id, 0, 10)
        assert [row.epoch for row in metrics.list_after(session, lease.job_id, 1, 10)] == [2]
        assert list(metrics.names(session, lease.job_id)) == ["loss", "accuracy", "up", "down"]
    assert list(first.metrics) == list(logged)
    assert first.metrics["loss"] == 1 / 3
    assert math.isnan(first.metrics["accuracy"])
    assert (first.metrics["up"], first.metrics["down"]) == (math.inf, -math.inf)
    assert (first.steps_per_second, second.metrics) == (5.0, {"loss": 0.25})
    shown = metrics.view(first)
    assert shown.metrics == {"loss": 1 / 3, "accuracy": None, "up": None, "down": None}
    assert shown.non_finite == ["accuracy", "up", "down"]


def test_the_same_epoch_again_replaces_the_first(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _running(submit, claim)
    with database.write() as session:
        recording.record_epoch(session, lease, _epoch(1, {"loss": 1.0, "old": 1.0}))
    with database.write() as session:
        recording.record_epoch(session, lease, _epoch(1, {"loss": 2.0}))
    with database.read() as session:
        [row] = metrics.list_after(session, lease.job_id, 0, 10)
    assert row.metrics == {"loss": 2.0}


def test_events_tell_the_story(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _running(submit, claim)
    with database.write() as session:
        recording.record_phase(session, lease, Phase.TRAINING)
    with database.write() as session:
        recording.record_epoch(session, lease, _epoch(1, {"loss": math.nan}, rate=0.1, next_rate=0.01))
    with database.write() as session:
        recording.record_checkpoint(session, lease, _checkpoint(["best", "last", "ep001"], "checkpoints/a/1"))
    told = _events(database, lease)
    assert [event.kind for event in told] == [
        EventKind.SUBMITTED,
        EventKind.CLAIMED,
        EventKind.PHASE_CHANGED,
        EventKind.EPOCH_ENDED,
        EventKind.LEARNING_RATE_REDUCED,
        EventKind.BEST_IMPROVED,
        EventKind.CHECKPOINT_SAVED,
    ]
    assert told[3].data == {"epoch": 1, "loss": None}
    assert told[4].data == {"epoch": 1, "from": 0.1, "to": 0.01}
    assert [event.id for event in told] == sorted(event.id for event in told)
    assert all(event.at.tzinfo is not None for event in told)


def test_every_record_raises_the_version(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _running(submit, claim)
    steps: list[Callable[..., object]] = [
        lambda session: recording.record_phase(session, lease, Phase.BUILDING),
        lambda session: recording.record_progress(session, lease, 1, 3, 10),
        lambda session: recording.record_epoch(session, lease, _epoch(1, {"loss": 1.0})),
        lambda session: recording.record_checkpoint(session, lease, _checkpoint(["last"], "checkpoints/a/1")),
        lambda session: actions.cancel(session, lease.job_id),
    ]
    seen = []
    for step in steps:
        with database.write() as session:
            step(session)
        with database.read() as session:
            seen.append(jobs.version(session, lease.job_id))
    assert seen == list(range(seen[0], seen[0] + len(steps)))


def test_progress_and_the_time_that_is_left(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _running(submit, claim, fit={"epochs": 5})
    with database.write() as session:
        recording.record_progress(session, lease, 1, 5, 10)
    with database.read() as session:
        first = job_details.view(session, jobs.get(session, lease.job_id), 30).progress
    assert (first.epoch, first.step, first.steps, first.percent, first.eta_seconds) == (1, 5, 10, 10.0, None)
    with database.write() as session:
        recording.record_epoch(session, lease, _epoch(1, {"loss": 1.0}))
        recording.record_progress(session, lease, 2, 5, 10)
    with database.read() as session:
        second = job_details.view(session, jobs.get(session, lease.job_id), 30).progress
    assert (second.percent, second.eta_seconds) == (30.0, 7.0)


def test_a_replaced_file_is_given_back_once_no_name_needs_it(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _running(submit, claim)

    def record(names: list[str], key: str, epoch: int) -> list[str]:
        with database.write() as session:
            return recording.record_checkpoint(session, lease, _checkpoint(names, key, epoch))

    assert record(["best", "last", "ep1"], "checkpoints/a/1", 1) == []
    assert record(["last"], "checkpoints/a/2", 2) == []
    assert record(["last", "best"], "checkpoints/a/3", 3) == ["checkpoints/a/2"]
    assert record(["ep1"], "checkpoints/a/4", 4) == ["checkpoints/a/1"]
    assert record(["ep1"], "checkpoints/a/4", 4) == [], "the same file again is not to be deleted"
    with database.read() as session:
        rows = checkpoints.list_all(session, lease.job_id)
        job = jobs.get(session, lease.job_id)
    assert [(row.name, row.epoch) for row in rows] == [("best", 3), ("last", 3), ("ep1", 4)]
    assert rows[0].metrics == {"loss": 0.5, "bad": None}
    assert (job.best_epoch, job.best_monitor, job.best_value) == (3, "loss", 0.5)


def test_the_last_lines_are_kept(
    database: Database, submit: Submit, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_LINES", 3)
    lease = _running(submit, claim)
    at = datetime(2026, 1, 2, tzinfo=UTC)
    for batch in ("ab", "cd", "e"):
        with database.write() as session:
            recording.record_log_lines(session, lease, [LineRecord(at, "stdout", text) for text in batch])
    with database.read() as session:
        assert [line.text for line in logs.list_after(session, lease.job_id, 0, 9)] == ["c", "d", "e"]


def test_log_lines_in_order_and_bounded(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _running(submit, claim)
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    lines = ["first", "with \x00 NUL", "half \ud800 pair", "x" * 10_000, "汉字 «»"]
    with database.write() as session:
        recording.record_log_lines(session, lease, [LineRecord(at, "stdout", line) for line in lines])
        recording.record_log_lines(session, lease, [LineRecord(at, "stderr", "last")])
    with database.read() as session:
        all_lines = logs.list_after(session, lease.job_id, 0, 100)
        assert [line.text for line in logs.tail(session, lease.job_id, 2)] == ["汉字 «»", "last"]
        assert logs.list_after(session, lease.job_id, all_lines[3].id, 1) == [all_lines[4]]
    assert [line.text[:12] for line in all_lines] == ["first", "with  NUL", "half ? pair", "x" * 12, "汉字 «»", "last"]
    assert len(all_lines[3].text) == recording.MAX_LINE_CHARACTERS
    assert (all_lines[0].at, all_lines[-1].stream, all_lines[0].attempt) == (at, "stderr", 1)
