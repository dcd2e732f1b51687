"""What `/metrics` reports, read with Prometheus's own parser."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from fitqueue.states import JobState, Phase, Reason
from service.api.context import EXTENSION, Services
from service.app import create_app
from service.db import Database
from service.store import attempt_outcomes, leases, recording, workers
from service.store.gpus import VisibleGPU
from service.store.usage import MeasuredUse
from tests.integration.fixture_types import AdvanceClock, Claim, Submit
from tests.reports import epoch_ended

Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
"""The value of each sample, by name and labels."""
Scrape = Callable[[], Samples]


def _key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


@pytest.fixture
def scrape(http: FlaskClient) -> Scrape:
    """A function that reads `/metrics` as Prometheus does."""

    def scrape() -> Samples:
        response = http.get("/metrics")
        assert (response.status_code, response.mimetype) == (200, "text/plain")
        return _parse(response.text)

    return scrape


def _parse(text: str) -> Samples:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    values = {_key(sample.name, **sample.labels): sample.value for sample in samples}
    assert len(values) == len(samples), "a sample is reported twice"
    return values


def _register(database: Database, worker: str, **fields: Any) -> None:
    defaults = {"host": "h", "pools": ["default"], "slots": 1, "devices": [], "gpus": []}
    with database.write() as session:
        workers.register(session, worker, **(defaults | fields))


# --- Gauges -----------------------------------------------------------------------------------------------------------


def test_an_empty_service_reports_zeros(scrape: Scrape) -> None:
    samples = scrape()
    assert {samples[_key("fitqueue_jobs", state=str(state))] for state in JobState} == {0}
    assert {samples[_key("fitqueue_jobs_ended_total", reason=str(reason))] for reason in Reason} == {0}
    for name in ("fitqueue_slots", "fitqueue_gpus", "fitqueue_gpus_in_use"):
        assert samples[_key(name)] == 0
    assert not [labels for _, labels in samples if dict(labels).get("pool")], "no pool is served or has a queue"


def test_jobs_queues_workers_and_gpus_are_counted(
    scrape: Scrape, database: Database, submit: Submit, advance_clock: AdvanceClock
) -> None:
    gpus = ["GPU-1", "GPU-2", "GPU-3", "GPU-4"]
    _register(database, "w1", pools=["default", "large"], slots=2, gpus=gpus)
    _register(database, "w2", slots=3, gpus=gpus)  # on the same machine
    submit(resources={"gpus": 2, "pool": "large"})
    with database.write() as session:
        assert leases.claim(session, "w1", ["large"], [VisibleGPU(uuid) for uuid in gpus], 600)
    submit()
    advance_clock(40)
    submit()
    submit(resources={"pool": "unserved"})
    advance_clock(20)
    _register(database, "w1", pools=["default", "large"], slots=2, gpus=gpus)
    _register(database, "w2", slots=3, gpus=gpus)
    samples = scrape()
    assert (samples[_key("fitqueue_jobs", state="running")], samples[_key("fitqueue_jobs", state="queued")]) == (1, 3)
    lengths = {pool: samples[_key("fitqueue_queue_length", pool=pool)] for pool in ("default", "large", "unserved")}
    assert lengths == {"default": 2, "large": 0, "unserved": 1}
    assert [samples[_key("fitqueue_jobs_running", pool=pool)] for pool in ("default", "large")] == [0, 1]
    ages = [samples[_key("fitqueue_queue_oldest_seconds", pool=pool)] for pool in ("default", "unserved", "large")]
    assert ages == [pytest.approx(60, abs=15), pytest.approx(20, abs=15), 0]
    serving = {pool: samples[_key("fitqueue_workers", pool=pool)] for pool in ("default", "large")}
    assert serving == {"default": 2, "large": 1}
    assert _key("fitqueue_workers", pool="unserved") not in samples
    assert (samples[_key("fitqueue_gpus")], samples[_key("fitqueue_gpus_in_use")]) == (4, 2)
    assert samples[_key("fitqueue_slots")] == 5


def test_a_silent_worker_is_not_counted(
    scrape: Scrape, database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    _register(database, "w1", gpus=["GPU-1", "GPU-2", "GPU-3", "GPU-4"])
    submit()
    claim()
    assert scrape()[_key("fitqueue_gpus")] == 4
    advance_clock(31)
    samples = scrape()
    assert samples[_key("fitqueue_gpus")] == 0
    assert samples[_key("fitqueue_workers", pool="default")] == 0, "an autoscaler needs a sample of a known pool"
    assert samples[_key("fitqueue_queue_length", pool="default")] == 0


def test_only_the_longest_of_unserved_queues_are_reported(
    scrape: Scrape, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.gauges.MAX_QUEUES", 2)
    for pool, count in (("a", 1), ("b", 3), ("c", 2)):
        for _ in range(count):
            submit(resources={"pool": pool})
    samples = scrape()
    assert samples[_key("fitqueue_queue_length", pool="b")] == 3
    assert samples[_key("fitqueue_queue_length", pool="c")] == 2
    assert _key("fitqueue_queue_length", pool="a") not in samples


def test_the_queue_of_a_pool_that_is_or_was_served_is_always_reported(
    scrape: Scrape, submit: Submit, database: Database, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An autoscaler needs its length, which must not disappear because others name pools."""
    monkeypatch.setattr("service.store.gauges.MAX_QUEUES", 1)
    submit()
    claim()
    _register(database, "wk_a", pools=["small"])
    for pool, count in (("default", 1), ("small", 1), ("unserved", 3), ("another", 2)):
        for _ in range(count):
            submit(resources={"pool": pool})
    lengths = {
        dict(labels)["pool"]: value for (name, labels), value in scrape().items() if name == "fitqueue_queue_length"
    }
    assert lengths == {"default": 1, "small": 1, "unserved": 3}


# --- Durations and counts ---------------------------------------------------------------------------------------------


def test_durations_are_counted_in_buckets(
    scrape: Scrape, database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    submit()
    advance_clock(20)
    lease = claim().lease
    advance_clock(400)
    with database.write() as session:
        job = leases.held_job(session, lease)
        for phase in (Phase.BUILDING, Phase.TRAINING, Phase.SAVING):
            recording.record_phase(session, job, phase)
    for epoch, seconds in enumerate((0.05, 0.1, 0.11, 5000.0, 50_000.0), start=1):
        with database.write() as session:
            recording.record_epoch(session, leases.held_job(session, lease), epoch_ended(epoch, seconds=seconds))
    samples = scrape()

    def count_up_to(name: str, bound: str) -> float:
        return samples[_key(f"{name}_bucket", pool="default", le=bound)]

    assert count_up_to("fitqueue_claim_latency_seconds", "10.0") == 0
    assert count_up_to("fitqueue_claim_latency_seconds", "60.0") == 1
    assert count_up_to("fitqueue_claim_latency_seconds", "+Inf") == 1
    assert samples[_key("fitqueue_claim_latency_seconds_sum", pool="default")] == pytest.approx(20, abs=15)
    assert samples[_key("fitqueue_start_up_seconds_count", pool="default")] == 1
    assert count_up_to("fitqueue_start_up_seconds", "300.0") == 0
    epochs = [count_up_to("fitqueue_epoch_seconds", bound) for bound in ("0.1", "0.5", "3600.0", "14400.0", "+Inf")]
    assert epochs == [2, 3, 3, 4, 5]
    assert samples[_key("fitqueue_epoch_seconds_sum", pool="default")] == pytest.approx(55_000.26)


def test_the_waiting_time_of_a_requeued_job_counts_from_then_on(
    scrape: Scrape, database: Database, submit: Submit, claim: Claim, advance_clock: AdvanceClock
) -> None:
    submit()
    claimed = claim()
    advance_clock(5000)
    with database.write() as session:
        assert attempt_outcomes.requeue(session, claimed.lease, "The worker was shut down.")
    assert scrape()[_key("fitqueue_queue_oldest_seconds", pool="default")] < 60
    advance_clock(100)
    assert 100 <= scrape()[_key("fitqueue_queue_oldest_seconds", pool="default")] < 160
    claim()
    samples = scrape()
    assert samples[_key("fitqueue_claim_latency_seconds_bucket", pool="default", le="60.0")] == 1
    assert samples[_key("fitqueue_claim_latency_seconds_bucket", pool="default", le="300.0")] == 2


def test_counts_never_shrink_when_jobs_are_deleted(
    http: FlaskClient, scrape: Scrape, database: Database, submit: Submit, claim: Claim
) -> None:
    done, cancelled = submit(), submit()
    lease = claim().lease
    with database.write() as session:
        recording.record_epoch(session, leases.held_job(session, lease), epoch_ended(1, seconds=2.0))
        assert attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")
        assert attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended."), (
            "the answer may get lost"
        )
    assert http.post(f"/api/v1/jobs/{cancelled}/cancel").status_code == 202
    before = scrape()
    assert before[_key("fitqueue_jobs_ended_total", reason="completed")] == 1
    assert before[_key("fitqueue_jobs_ended_total", reason="cancelled_by_user")] == 1
    for job_id in (done, cancelled):
        assert http.delete(f"/api/v1/jobs/{job_id}").status_code == 204
    after = scrape()
    assert {after[_key("fitqueue_jobs", state=str(state))] for state in JobState} == {0}
    counts = {key: value for key, value in before.items() if key[0].endswith(("_total", "_bucket", "_count", "_sum"))}
    assert len(counts) > 40
    assert {key: after[key] for key in counts} == counts


def test_the_use_of_a_pool_grows_while_jobs_run_and_never_shrinks(
    scrape: Scrape, database: Database, submit: Submit, advance_clock: AdvanceClock, http: FlaskClient
) -> None:
    _register(database, "w1")
    assert scrape()[_key("fitqueue_gpu_seconds_total", pool="default")] == 0, "a pool that is served has a sample"
    job_id = submit(resources={"gpus": 2})
    with database.write() as session:
        claimed = leases.claim(session, "w1", ["default"], [VisibleGPU("GPU-a"), VisibleGPU("GPU-b")], 600)
    assert claimed is not None
    advance_clock(100)
    with database.write() as session:
        leases.renew(session, claimed.lease, 600, MeasuredUse(12.5))
    running = scrape()
    assert 200 <= running[_key("fitqueue_gpu_seconds_total", pool="default")] < 260
    assert running[_key("fitqueue_cpu_seconds_total", pool="default")] == 12.5
    with database.write() as session:
        assert attempt_outcomes.finish(session, claimed.lease, Reason.COMPLETED, "The training ended.")
    assert http.delete(f"/api/v1/jobs/{job_id}").status_code == 204
    ended = scrape()
    for name in ("fitqueue_gpu_seconds_total", "fitqueue_cpu_seconds_total"):
        assert ended[_key(name, pool="default")] >= running[_key(name, pool="default")]


def test_a_write_that_was_rolled_back_is_not_counted(
    scrape: Scrape, database: Database, submit: Submit, claim: Claim
) -> None:
    submit()
    lease = claim().lease

    def record_and_fail() -> None:
        with database.write() as session:
            recording.record_epoch(session, leases.held_job(session, lease), epoch_ended(1, seconds=2.0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        record_and_fail()
    assert scrape()[_key("fitqueue_claim_latency_seconds_count", pool="default")] == 1
    assert scrape()[_key("fitqueue_epoch_seconds_count", pool="default")] == 0


def test_all_api_processes_report_the_same(
    services: Services, scrape: Scrape, submit: Submit, claim: Claim, token: str
) -> None:
    submit()
    claim()
    other = create_app(services.settings)
    answer = other.test_client().get("/metrics", headers={"Authorization": f"Bearer {token}"})
    other.extensions[EXTENSION].database.close()
    assert _parse(answer.text) == scrape()
