"""When queued jobs start and end: what is read for it, and how long it is kept."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select, update

from fitqueue.reports import Position
from fitqueue.states import Phase, Reason
from fitqueue.views import LayerView, MemoryEstimate, ModelSummary
from service.db import Database
from service.forecast.estimate import Estimate
from service.models import Job, Project, TrainingTime
from service.store import job_details, jobs, leases, preemption, recording, training_times, waiting_jobs
from service.store.forecasts import MAX_WAITING, Forecaster, QueuedForecast, make_forecast
from service.store.leases import Lease
from service.store.waiting_jobs import QueueFilter
from tests.integration.fixture_types import AdvanceClock, Claim, MakeSpec, RegisterWorker, Submit
from tests.integration.store.operations import finish, get_job, requeue
from tests.reports import epoch_ended

STOPPING = [{"class_name": "EarlyStopping", "config": {"monitor": "loss", "patience": 3}}]


def _enter(database: Database, lease: Lease) -> None:
    with database.write() as session:
        recording.begin_training(session, leases.held_job(session, lease), Position(0))
    with database.write() as session:
        recording.record_phase(session, leases.held_job(session, lease), Phase.TRAINING)


def _end_epochs(
    database: Database, lease: Lease, advance_clock: AdvanceClock, epochs: Sequence[int], seconds: float
) -> None:
    """Record epochs that have taken so many seconds each."""
    for epoch in epochs:
        advance_clock(seconds)
        with database.write() as session:
            recording.record_epoch(session, leases.held_job(session, lease), epoch_ended(epoch))


def _train(
    database: Database,
    claim: Claim,
    advance_clock: AdvanceClock,
    epochs: int,
    seconds: float = 100.0,
    start: float = 40.0,
) -> None:
    """Train the next job to its end: `start` seconds of loading, then the epochs."""
    lease = claim().lease
    advance_clock(start)
    _enter(database, lease)
    _end_epochs(database, lease, advance_clock, range(1, epochs + 1), seconds)
    assert finish(database, lease)


def _forecast(database: Database) -> dict[str, QueuedForecast]:
    with database.read() as session:
        return make_forecast(session, 30.0)


def _times(database: Database) -> list[TrainingTime]:
    with database.read() as session:
        return list(session.scalars(select(TrainingTime)))


def test_a_queued_job_starts_when_the_running_one_ends_and_takes_as_long_as_others_of_its_kind(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    submit()
    _train(database, claim, advance_clock, epochs=5)
    register_worker("w1", gpus=[])
    submit(seed=8)
    lease = claim().lease
    _enter(database, lease)
    first, second, gone = submit(seed=9), submit(fit={"epochs": 2}), submit(resources={"pool": "gone"})
    forecast = _forecast(database)
    assert forecast.keys() == {first, second}
    assert forecast[first].starts == Estimate(pytest.approx(500.0, abs=20), False)
    assert forecast[first].ends == Estimate(pytest.approx(1040.0, abs=30), False)
    assert forecast[second].starts == Estimate(pytest.approx(1040.0, abs=30), False)
    assert (forecast[first].ahead, forecast[second].ahead) == (0, 1)
    with database.read() as session:
        [row] = [row for row in waiting_jobs.list_page(session, QueueFilter(), None, 10, 30.0)[0] if row.job.id == gone]
    assert row.forecast == QueuedForecast(0, None, None)
    assert get_job(database, lease.job_id).seconds_per_epoch == pytest.approx(100.0, abs=10), "from its kind"


def test_of_a_kind_that_nobody_has_trained_nothing_is_known(
    database: Database, submit: Submit, register_worker: RegisterWorker
) -> None:
    register_worker("w1", gpus=[])
    first, second = submit(), submit()
    forecast = _forecast(database)
    assert forecast == {first: QueuedForecast(0, Estimate(0.0), None), second: QueuedForecast(1, None, None)}


def test_a_kind_that_is_not_known_takes_as_long_as_one_of_a_similar_size(
    database: Database, make_spec: MakeSpec, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    def submit(parameters: int, **fields: Any) -> str:
        memory = MemoryEstimate(weights=0, gradients=0, optimizer=0, activations=0, total=0)
        layer = LayerView(
            name="d", class_name="Dense", output_shapes=[], dtype=None, parameters=parameters, trainable=True, inputs=[]
        )
        summary = ModelSummary(layers=[layer], parameters=parameters, trainable_parameters=parameters, memory=memory)
        with database.write() as session:
            return jobs.create(session, make_spec(**fields), [], summary=summary).id

    submit(650)
    _train(database, claim, advance_clock, epochs=5)
    register_worker("w1", gpus=[])
    similar, large, elsewhere = submit(1000), submit(65_000), submit(1000, resources={"pool": "large"})
    forecast = _forecast(database)
    assert forecast[similar].ends == Estimate(pytest.approx(540.0, abs=30), False)
    assert forecast[large].ends is None
    assert elsewhere not in forecast


def test_a_callback_that_may_stop_a_job_makes_the_times_after_it_upper_bounds(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    submit()
    _train(database, claim, advance_clock, epochs=5)
    register_worker("w1", gpus=[])
    stopping, after = submit(callbacks=STOPPING), submit()
    forecast = _forecast(database)
    assert forecast[stopping].starts == Estimate(0.0, False)
    assert forecast[stopping].ends == Estimate(pytest.approx(540.0, abs=30), True)
    assert forecast[after].starts == Estimate(pytest.approx(540.0, abs=30), True)


def test_a_requeued_job_takes_only_its_other_epochs(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    job_id = submit()
    lease = claim().lease
    _enter(database, lease)
    _end_epochs(database, lease, advance_clock, (1, 2, 3), 200.0)
    requeue(database, lease)
    register_worker("w1", gpus=[])
    assert _forecast(database)[job_id].ends == Estimate(pytest.approx(400.0, abs=20), False)


def test_jobs_of_an_earlier_version_have_no_key_and_may_end_earlier(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    job_id = submit()
    with database.write() as session:
        session.execute(update(Job).values(timing_key=None, work=None, may_end_early=None))
    lease = claim().lease
    _enter(database, lease)
    _end_epochs(database, lease, advance_clock, (1, 2), 100.0)
    with database.read() as session:
        left = job_details.read(session, jobs.get(session, job_id), 30.0).left
    assert left == Estimate(pytest.approx(300.0, abs=10), True)
    assert finish(database, lease)
    assert _times(database) == []


@pytest.mark.parametrize(("reason", "count"), [(Reason.COMPLETED, 1), (Reason.EARLY_STOPPED, 1), (Reason.NAN_LOSS, 0)])
def test_only_jobs_that_ended_as_planned_say_how_long_others_take(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock, reason: Reason, count: int
) -> None:
    submit(callbacks=STOPPING)
    lease = claim().lease
    _enter(database, lease)
    _end_epochs(database, lease, advance_clock, (1, 2), 100.0)
    assert finish(database, lease, reason)
    assert len(_times(database)) == count


def test_the_times_of_a_kind_follow_its_newest_jobs_and_are_forgotten_in_the_end(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    submit()
    _train(database, claim, advance_clock, epochs=5, seconds=100.0)
    submit()
    _train(database, claim, advance_clock, epochs=5, seconds=200.0)
    [row] = _times(database)
    assert row.seconds_per_epoch == pytest.approx(130.0, abs=10)
    advance_clock(training_times.FORGOTTEN_AFTER.total_seconds())
    submit(fit={"epochs": 5, "batch_size": 8})
    _train(database, claim, advance_clock, epochs=5)
    assert len(_times(database)) == 1, "only the new kind"


def test_a_first_epoch_says_little_about_others(
    database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    seconds = []
    for epochs, pace in ((1, 900.0), (5, 100.0), (1, 900.0)):
        submit(fit={"epochs": epochs})
        _train(database, claim, advance_clock, epochs, pace)
        [row] = _times(database)
        seconds.append(row.seconds_per_epoch)
    assert seconds == [pytest.approx(900, abs=10), pytest.approx(100, abs=10), pytest.approx(100, abs=10)]


def test_jobs_of_a_new_kind_wait_as_long_as_the_first_of_them_says_that_runs(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    submit()
    lease = claim().lease
    _enter(database, lease)
    _end_epochs(database, lease, advance_clock, (1, 2), 100.0)
    register_worker("w1", gpus=[])
    first, second = submit(seed=1), submit(seed=2)
    forecast = _forecast(database)
    assert forecast[first].starts == Estimate(pytest.approx(300, abs=20), False)
    assert forecast[second].starts == Estimate(pytest.approx(800, abs=30), False)


def test_a_forecast_is_kept_for_a_second_and_counts_down(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    submit()
    _train(database, claim, advance_clock, epochs=5)
    register_worker("w1", gpus=[])
    submit(), claim()
    now = [100.0]
    forecaster = Forecaster(30.0, monotonic=lambda: now[0])

    def starts(*job_ids: str) -> list[Estimate | None]:
        with database.read() as session:
            found = forecaster.read(session, job_ids)
        return [found[id].starts if id in found else None for id in job_ids]

    with database.write() as session:
        lease_job = session.scalars(select(Job).where(Job.state == "running")).one()
        recording.begin_training(session, lease_job, Position(0))
    first = submit()
    [before] = starts(first)
    second = submit()
    now[0] += 0.5
    [after, unknown] = starts(first, second)
    assert before is not None
    assert after == Estimate(before.seconds - 0.5)
    assert unknown is None
    now[0] += 0.5
    assert None not in starts(first, second)


def test_only_the_first_jobs_of_a_long_queue_are_forecast(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    submit()
    _train(database, claim, advance_clock, epochs=5)
    register_worker("w1", gpus=[])
    template = get_job(database, submit())
    columns = {column.key: getattr(template, column.key) for column in Job.__table__.columns}
    with database.write() as session:
        session.add_all(Job(**columns | {"id": f"job_z{n:05}", "priority": -1}) for n in range(MAX_WAITING))
    with database.read() as session:
        assert session.scalar(select(func.count()).where(Job.state == "queued")) == MAX_WAITING + 1
    forecast = _forecast(database)
    assert len(forecast) == MAX_WAITING
    assert template.id in forecast
    assert f"job_z{MAX_WAITING - 1:05}" not in forecast


def test_a_job_of_a_project_at_its_limit_starts_when_one_of_its_jobs_ends(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    submit()
    _train(database, claim, advance_clock, epochs=5)
    register_worker("w1", gpus=[])
    register_worker("w2", gpus=[])
    with database.write() as session:
        session.execute(update(Project).values(limits={"running_jobs": 1}))
    submit()
    _enter(database, claim().lease)
    job_id = submit()
    assert _forecast(database)[job_id].starts == Estimate(pytest.approx(500.0, abs=20), False)


def test_a_job_for_which_another_makes_room_starts_soon(
    database: Database, submit: Submit, claim: Claim, register_worker: RegisterWorker, advance_clock: AdvanceClock
) -> None:
    submit()
    _train(database, claim, advance_clock, epochs=5)
    register_worker("w1", gpus=[])
    submit(preemptible=True)
    _enter(database, claim().lease)
    job_id = submit()
    with database.write() as session:
        assert preemption.request(session, 30.0)
    starts = _forecast(database)[job_id].starts
    assert starts is not None
    assert starts.seconds <= 15
