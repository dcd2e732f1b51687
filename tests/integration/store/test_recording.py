"""What a worker records of a training: its progress, epochs, events, checkpoints and log lines."""

import math
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.reports import CheckpointWritten, EpochEnded, Position, PrintedLine
from fitqueue.states import EventKind, Phase
from fitqueue.views import EpochView, Progress
from service.api.views import epoch_fields, progress
from service.db import Database
from service.models import Epoch, Job
from service.store import actions, checkpoints, job_details, jobs, leases, logs, metrics, recording
from service.store.leases import Lease
from tests.integration.fixture_types import AdvanceClock, Claim, Submit
from tests.integration.store.operations import events_of, get_job, record_epoch, requeue
from tests.reports import checkpoint_written, epoch_ended, printed

KEY = "checkpoints/a/1"


def _submit_and_claim(submit: Submit, claim: Claim, **fields: object) -> Lease:
    submit(**fields)
    return claim().lease


def _epoch(epoch: int, logs: dict[str, float], rate: float = 0.1, next_rate: float = 0.1) -> EpochEnded:
    return epoch_ended(epoch, logs, learning_rate=rate, next_learning_rate=next_rate, seconds=2.0, steps=10)


def _checkpoint(names: Sequence[str], epoch: int = 1) -> CheckpointWritten:
    written = checkpoint_written(names, epoch)
    return written.model_copy(update={"logs": {**written.logs, "bad": math.nan}})


def _record(database: Database, lease: Lease, *writes: Callable[[Session, Job], object]) -> None:
    """Do the writes in one transaction of the attempt."""
    with database.write() as session:
        job = leases.held_job(session, lease)
        for write in writes:
            write(session, job)


# --- Epochs -----------------------------------------------------------------------------------------------------------


def test_epochs_are_read_back_as_they_were_logged(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _submit_and_claim(submit, claim)
    logged = {"loss": 1 / 3, "accuracy": math.nan, "up": math.inf, "down": -math.inf}
    _record(
        database,
        lease,
        lambda session, job: recording.record_epoch(session, job, _epoch(1, logged)),
        lambda session, job: recording.record_epoch(session, job, _epoch(2, {"loss": 0.25})),
    )
    with database.read() as session:
        first, second = metrics.list_after(session, lease.job_id, 0, 10)
        assert [row.epoch for row in metrics.list_after(session, lease.job_id, 1, 10)] == [2]
        assert list(metrics.names(session, lease.job_id)) == ["loss", "accuracy", "up", "down"]
    assert list(first.metrics) == list(logged)
    assert first.metrics["loss"] == 1 / 3
    assert math.isnan(first.metrics["accuracy"])
    assert (first.metrics["up"], first.metrics["down"]) == (math.inf, -math.inf)
    assert (first.steps_per_second, second.metrics) == (5.0, {"loss": 0.25})
    fields = epoch_fields(first)
    assert fields.keys() == EpochView.model_fields.keys()
    view = EpochView.model_validate(fields)
    assert view.metrics == {"loss": 1 / 3, "accuracy": None, "up": None, "down": None}
    assert view.non_finite == ["accuracy", "up", "down"]
    assert view.non_finite_values == {"accuracy": "NaN", "up": "Infinity", "down": "-Infinity"}
    for name, word in view.non_finite_values.items():
        assert struct.pack("d", float(word)) == struct.pack("d", logged[name]), "Python reads the word as this value"


def test_recording_an_epoch_again_replaces_it(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _submit_and_claim(submit, claim)
    first, second = _epoch(1, {"loss": 1.0, "old": 1.0}), _epoch(1, {"loss": 2.0})
    _record(database, lease, lambda session, job: recording.record_epoch(session, job, first))
    _record(database, lease, lambda session, job: recording.record_epoch(session, job, second))
    with database.read() as session:
        [row] = metrics.list_after(session, lease.job_id, 0, 10)
    assert row.metrics == {"loss": 2.0}


def test_the_longest_metric_name_can_be_stored_everywhere(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _submit_and_claim(submit, claim)
    monitor = "val_" + 252 * "m"
    best = _checkpoint(["best"]).model_copy(update={"monitor": monitor})
    _record(
        database,
        lease,
        lambda session, job: recording.record_epoch(session, job, _epoch(1, {monitor: 0.5})),
        lambda session, job: recording.record_checkpoint(session, job, best, KEY),
    )
    assert get_job(database, lease.job_id).best_monitor == monitor


@pytest.mark.parametrize(
    ("position", "remaining_epochs", "epoch_and_step"),
    [(Position(0), [], (0, 0)), (Position(1), [1], (1, 0)), (Position(1, 2), [1], (2, 2))],
    ids=str,
)
def test_beginning_a_training_deletes_the_epochs_beyond_its_position(
    position: Position,
    remaining_epochs: list[int],
    epoch_and_step: tuple[int, int],
    database: Database,
    submit: Submit,
    claim: Claim,
) -> None:
    job_id = submit()
    first = claim().lease
    for epoch in (1, 2):
        record_epoch(database, first, epoch)
    requeue(database, first)
    second = claim().lease
    _record(database, second, lambda session, job: recording.begin_training(session, job, position))
    with database.read() as session:
        assert session.scalars(select(Epoch.epoch).where(Epoch.job_id == job_id)).all() == remaining_epochs
    job = get_job(database, job_id)
    assert (job.epoch, job.step) == epoch_and_step


# --- Progress and events ----------------------------------------------------------------------------------------------


def test_the_time_left_follows_from_the_steps_and_then_from_the_time_between_the_ends_of_epochs(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    lease = _submit_and_claim(submit, claim, fit={"epochs": 5})

    def progress_after(seconds: float, write: Callable[[Session, Job], object]) -> Progress:
        advance_clock(seconds)
        _record(database, lease, write)
        with database.read() as session:
            details = job_details.read(session, jobs.get(session, lease.job_id), 30)
        assert (details.finishes_at is None) == (details.left is None)
        return progress(details.job, details.left)

    begun = progress_after(4, lambda session, job: recording.record_phase(session, job, Phase.TRAINING))
    assert begun.eta_seconds is None, "nothing is known yet"
    first = progress_after(300, lambda _, job: recording.record_progress(job, Position(0, 5), 10, {}))
    assert (first.epoch, first.step, first.steps, first.percent) == (1, 5, 10, 10.0)
    assert first.eta_seconds == pytest.approx(300 + 4 * 600, abs=50), "half of an epoch took 300 s"
    progress_after(400, lambda session, job: recording.record_epoch(session, job, _epoch(1, {"loss": 1.0})))
    second = progress_after(1000, lambda session, job: recording.record_epoch(session, job, _epoch(2, {"loss": 1.0})))
    assert second.eta_seconds == pytest.approx(3 * 1000, abs=30), "the first epoch was slower, with the tracing"
    third = progress_after(500, lambda _, job: recording.record_progress(job, Position(2, 5), 10, {}))
    assert (third.percent, third.eta_seconds) == (50.0, pytest.approx(500 + 2 * 1000, abs=30))


def test_events_tell_what_happened(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _submit_and_claim(submit, claim)
    epoch = _epoch(1, {"loss": math.nan}, rate=0.1, next_rate=0.01)
    checkpoint = _checkpoint(["best", "last", "ep001"])
    _record(database, lease, lambda session, job: recording.record_phase(session, job, Phase.TRAINING))
    _record(database, lease, lambda session, job: recording.record_epoch(session, job, epoch))
    _record(database, lease, lambda session, job: recording.record_checkpoint(session, job, checkpoint, KEY))
    events = events_of(database, lease.job_id)
    assert [event.kind for event in events] == [
        EventKind.SUBMITTED,
        EventKind.CLAIMED,
        EventKind.PHASE_CHANGED,
        EventKind.EPOCH_ENDED,
        EventKind.LEARNING_RATE_REDUCED,
        EventKind.BEST_IMPROVED,
        EventKind.CHECKPOINT_SAVED,
    ]
    assert events[3].data == {"epoch": 1, "loss": None}
    assert events[4].data == {"epoch": 1, "from": 0.1, "to": 0.01}
    assert [event.id for event in events] == sorted(event.id for event in events)
    assert all(event.at.tzinfo is not None for event in events)
    assert [event.message for event in events[2:]] == [
        "Keras trains the model.",
        "Epoch 1 of 5 was trained in 2 s.",
        "The learning rate went from 0.1 to 0.01.",
        "Epoch 1 is the best so far (loss 0.5).",
        "'ep001' was saved (loss 0.5).",
    ]


@pytest.mark.parametrize(
    ("position", "differences", "message", "exact"),
    [
        (Position(2), [], "Training resumes after epoch 2.", True),
        (Position(2, 7), [], "Training resumes after 7 steps of epoch 3.", True),
        (Position(2), ["another GPU", "another TensorFlow"],
         "Training resumes after epoch 2. It may differ in the last bits: another GPU; another TensorFlow.", False),
    ],
    ids=["epoch", "step", "differences"],
)  # fmt: skip
def test_the_event_of_a_resumed_training_names_its_position(
    position: Position, differences: list[str], message: str, exact: bool, database: Database, submit: Submit,
    claim: Claim,
) -> None:  # fmt: skip
    lease = _submit_and_claim(submit, claim)
    _record(database, lease, lambda session, job: recording.record_resumed(session, job, position, differences))
    event = events_of(database, lease.job_id)[-1]
    assert (event.kind, event.message) == (EventKind.RESUMED, message)
    assert event.data == {"epoch": position.epoch, "step": position.step, "exact": exact}


def test_every_write_raises_the_version(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _submit_and_claim(submit, claim)
    writes: list[Callable[[Session, Job], object]] = [
        lambda session, job: recording.record_phase(session, job, Phase.BUILDING),
        lambda _session, job: recording.record_progress(job, Position(0, 3), 10, {}),
        lambda session, job: recording.record_epoch(session, job, _epoch(1, {"loss": 1.0})),
        lambda session, job: recording.record_checkpoint(session, job, _checkpoint(["last"]), KEY),
        lambda session, job: actions.cancel(session, job.id),
    ]
    versions = []
    for write in writes:
        _record(database, lease, write)
        with database.read() as session:
            versions.append(jobs.version(session, lease.job_id))
    assert versions == list(range(versions[0], versions[0] + len(writes)))


# --- Checkpoints ------------------------------------------------------------------------------------------------------


def test_pages_of_checkpoints_have_each_of_them_once(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _submit_and_claim(submit, claim)
    for epoch in range(1, 6):
        with database.write() as session:
            job = leases.held_job(session, lease)
            names = ["best", "last", f"ä{epoch}", f"b{epoch}"]
            recording.record_checkpoint(session, job, _checkpoint(names, epoch), f"checkpoints/a/{epoch}")
    listed, cursor = [], None
    while True:
        with database.read() as session:
            rows = checkpoints.list_page(session, lease.job_id, cursor, 3)
        if not rows:
            break
        listed += [row.name for row in rows]
        cursor = checkpoints.cursor(rows[-1])
    assert listed[:2] == ["best", "last"]
    assert [name[1:] for name in listed[2:]] == [str(epoch) for epoch in range(1, 6) for _ in range(2)]
    assert len(set(listed)) == len(listed) == 12


def test_a_replaced_checkpoint_is_returned_once_no_name_points_at_its_file(
    database: Database, submit: Submit, claim: Claim
) -> None:
    lease = _submit_and_claim(submit, claim)

    def record(names: list[str], key: str, epoch: int) -> list[str]:
        with database.write() as session:
            job = leases.held_job(session, lease)
            return recording.record_checkpoint(session, job, _checkpoint(names, epoch), key)

    assert record(["best", "last", "ep1"], "checkpoints/a/1", 1) == []
    assert record(["last"], "checkpoints/a/2", 2) == []
    assert record(["last", "best"], "checkpoints/a/3", 3) == ["checkpoints/a/2"]
    assert record(["ep1"], "checkpoints/a/4", 4) == ["checkpoints/a/1"]
    assert record(["ep1"], "checkpoints/a/4", 4) == [], "the same file must not be deleted"
    with database.read() as session:
        rows = checkpoints.list_page(session, lease.job_id, None, 100)
        job = jobs.get(session, lease.job_id)
    assert [(row.name, row.epoch) for row in rows] == [("best", 3), ("last", 3), ("ep1", 4)]
    assert rows[0].metrics == {"loss": 0.5, "bad": None}
    assert (job.best_epoch, job.best_monitor, job.best_value) == (3, "loss", 0.5)


# --- Log lines --------------------------------------------------------------------------------------------------------


def test_only_the_last_lines_of_a_log_are_kept(
    database: Database, submit: Submit, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_LINES", 3)
    lease = _submit_and_claim(submit, claim)
    for texts in ("ab", "cd", "e"):
        with database.write() as session:
            job = leases.held_job(session, lease)
            recording.record_lines(session, job, [printed(text) for text in texts])
    with database.read() as session:
        assert [line.text for line in logs.list_after(session, lease.job_id, 0, 9)] == ["c", "d", "e"]


def test_log_lines_are_stored_in_order_and_cut_to_a_length(database: Database, submit: Submit, claim: Claim) -> None:
    lease = _submit_and_claim(submit, claim)
    printed_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    texts = ["first", "with \x00 NUL", "half \ud800 pair", "x" * 10_000, "汉字 «»"]
    lines = [PrintedLine(printed_at, "stdout", text) for text in texts]
    _record(
        database,
        lease,
        lambda session, job: recording.record_lines(session, job, lines),
        lambda session, job: recording.record_lines(session, job, [PrintedLine(printed_at, "stderr", "last")]),
    )
    with database.read() as session:
        rows = logs.list_after(session, lease.job_id, 0, 100)
        assert [line.text for line in logs.tail(session, lease.job_id, 2)] == ["汉字 «»", "last"]
        assert logs.list_after(session, lease.job_id, rows[3].id, 1) == [rows[4]]
    assert [row.text[:12] for row in rows] == ["first", "with  NUL", "half ? pair", "x" * 12, "汉字 «»", "last"]
    assert len(rows[3].text) == recording.MAX_LINE_LENGTH
    assert (rows[0].at, rows[-1].stream, rows[0].attempt) == (printed_at, "stderr", 1)
