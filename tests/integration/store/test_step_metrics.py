"""The metrics of the running epoch, and the series within epochs: exact, bounded, without lost steps."""

import itertools
import math
from collections.abc import Mapping

import pytest
from sqlalchemy import select

from fitqueue.reports import Position
from service.api.views import progress
from service.db import Database
from service.models import StepMetrics
from service.store import leases, recording, step_metrics
from service.store.leases import Lease
from service.store.step_metrics import StepRow
from tests.integration.fixture_types import Claim, Submit
from tests.integration.store.operations import get_job, record_epoch, requeue
from tests.reports import epoch_ended

LOSS = {"loss": 1.0}


@pytest.fixture
def lease(submit: Submit, claim: Claim) -> Lease:
    submit(fit={"epochs": 50})
    return claim().lease


def _record_progress(database: Database, lease: Lease, position: Position, metrics: Mapping[str, float]) -> None:
    with database.write() as session:
        recording.record_progress(leases.held_job(session, lease), position, 10, metrics)


def _add(database: Database, lease: Lease, *positions: Position, metrics: Mapping[str, float] = LOSS) -> None:
    for position in positions:
        with database.write() as session:
            step_metrics.add(session, leases.held_job(session, lease), position, metrics)


def _begin(database: Database, lease: Lease, position: Position) -> None:
    with database.write() as session:
        recording.begin_training(session, leases.held_job(session, lease), position)


def _points(database: Database, lease: Lease) -> list[StepRow]:
    with database.read() as session:
        return step_metrics.list_after(session, lease.job_id, 0, 0, 10_000)


def _positions(database: Database, lease: Lease) -> list[tuple[int, int]]:
    return [(point.epoch, point.step) for point in _points(database, lease)]


def _shown(database: Database, lease: Lease) -> dict[str, float | None]:
    return progress(get_job(database, lease.job_id), None).metrics


def test_progress_shows_the_metrics_at_its_position(database: Database, lease: Lease) -> None:
    assert _shown(database, lease) == {}
    _record_progress(database, lease, Position(0, 3), {"accuracy": 1 / 3, "loss": math.nan, "mae": -math.inf})
    assert list(_shown(database, lease).items()) == [("accuracy", 1 / 3), ("loss", None), ("mae", None)]
    with database.write() as session:
        ended = epoch_ended(1, {"loss": 0.5, "val_loss": 0.25})
        recording.record_epoch(session, leases.held_job(session, lease), ended)
    assert _shown(database, lease) == {"loss": 0.5, "val_loss": 0.25}
    requeue(database, lease)
    assert _shown(database, lease) == {"loss": 0.5, "val_loss": 0.25}


def test_an_attempt_begins_without_metrics(database: Database, lease: Lease, claim: Claim) -> None:
    _record_progress(database, lease, Position(0, 3), LOSS)
    requeue(database, lease)
    _begin(database, claim().lease, Position(0))
    assert _shown(database, lease) == {}


def test_progress_keeps_a_hundred_metrics_and_the_losses(database: Database, lease: Lease) -> None:
    many = {f"a{number}": 0.5 for number in range(1_000)}
    _record_progress(database, lease, Position(0, 3), {**many, "loss": 1.0, "val_loss": 2.0, "z": 3.0})
    assert list(_shown(database, lease)) == [*list(many)[:100], "loss", "val_loss"]


def test_points_are_read_back_as_they_were_reported(database: Database, lease: Lease) -> None:
    reported = {"loss": 1 / 3, "nan": math.nan, "up": math.inf, "down": -math.inf, "tiny": 5e-324, "whole": 2.0}
    _add(database, lease, Position(2, 7), metrics=reported)
    [point] = _points(database, lease)
    assert repr(dict(point.metrics)) == repr(reported)
    assert (point.epoch, point.step, point.attempt, point.at.tzinfo is not None) == (3, 7, 1, True)


def test_a_long_series_is_thinned_evenly(database: Database, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_metrics, "MAX_POINTS", 8)
    for step in range(1, 9):
        _add(database, lease, Position(0, step))
    assert [step for _, step in _positions(database, lease)] == list(range(1, 9))
    for step in range(9, 101):
        _add(database, lease, Position(0, step))
        steps = [step for _, step in _positions(database, lease)]
        assert len(steps) <= 8
        assert len({after - before for before, after in itertools.pairwise(steps)}) <= 1
        assert step - steps[-1] < 2 * steps[0]
        assert len(steps) >= 4
    assert [step for _, step in _positions(database, lease)] == [16, 32, 48, 64, 80, 96]


@pytest.mark.parametrize(
    ("position", "remaining"),
    [
        (Position(0), []),
        (Position(0, 6), [(1, 5)]),
        (Position(1), [(1, 5), (1, 9)]),
        (Position(1, 5), [(1, 5), (1, 9), (2, 4), (2, 5)]),
        (Position(3), [(1, 5), (1, 9), (2, 4), (2, 5), (2, 6), (3, 1)]),
    ],
    ids=str,
)
def test_points_of_lost_steps_are_deleted(
    position: Position, remaining: list[tuple[int, int]], database: Database, lease: Lease, claim: Claim
) -> None:
    _add(
        database, lease, Position(0, 5), Position(0, 9), Position(1, 4), Position(1, 5), Position(1, 6), Position(2, 1)
    )
    record_epoch(database, lease, 1)
    requeue(database, lease)
    second = claim().lease
    _begin(database, second, position)
    assert _positions(database, second) == remaining
    _add(database, second, Position(4, 1))
    *_, last = _points(database, second)
    assert (last.epoch, last.attempt, last.ordinal) == (5, 2, len(remaining) + 1)


def test_steps_that_are_trained_again_do_not_thin_the_series(
    database: Database, lease: Lease, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_metrics, "MAX_POINTS", 8)
    _add(database, lease, Position(0, 1), Position(0, 2))
    for _ in range(4):
        _add(database, lease, *(Position(0, step) for step in range(3, 7)))
        requeue(database, lease)
        lease = claim().lease
        _begin(database, lease, Position(0, 2))
    _add(database, lease, *(Position(0, step) for step in range(3, 7)))
    assert [step for _, step in _positions(database, lease)] == [1, 2, 3, 4, 5, 6]


def test_the_points_of_a_job_are_its_own(database: Database, lease: Lease, submit: Submit, claim: Claim) -> None:
    submit(fit={"epochs": 50})
    other = claim().lease
    _add(database, lease, Position(0, 1))
    _add(database, other, Position(0, 2), Position(0, 3))
    _begin(database, other, Position(0, 2))
    assert (_positions(database, lease), _positions(database, other)) == ([(1, 1)], [(1, 2)])
    with database.read() as session:
        assert len(session.scalars(select(StepMetrics.job_id)).all()) == 2
