"""What `/metrics` says, read by Prometheus's own parser, of a store whose jobs are known."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from fitqueue.states import JobState, Phase, Reason
from service.api.context import EXTENSION, Services
from service.app import create_app
from service.db import Database
from service.store import leases, recording, workers
from service.store.gpus import VisibleGPU
from service.store.leases import ClaimedJob
from service.store.recording import EpochRecord

Scraped = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def _key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


@pytest.fixture
def scrape(http: FlaskClient) -> Callable[[], Scraped]:
    def scrape() -> Scraped:
        response = http.get("/metrics")
        assert (response.status_code, response.mimetype) == (200, "text/plain")
        return _samples(response.text)

    return scrape


def _samples(text: str) -> Scraped:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {_key(sample.name, **sample.labels): sample.value for sample in samples}
    assert len(found) == len(samples), "a sample is told twice"
    return found


def _epoch(number: int, seconds: float) -> EpochRecord:
    return EpochRecord(number, {"loss": 1.0}, learning_rate=0.1, next_learning_rate=0.1, seconds=seconds, steps=3)


def _register(database: Database, name: str, **of_it: Any) -> None:
    with database.write() as session:
        facts = {"host": "h", "pools": ["default"], "slots": 1, "devices": [], "gpus": []} | of_it
        workers.register(session, name, **facts)


def test_an_empty_service(scrape: Callable[[], Scraped]) -> None:
    found = scrape()
    assert {found[_key("fitqueue_jobs", state=str(state))] for state in JobState} == {0}
    assert {found[_key("fitqueue_jobs_ended_total", reason=str(reason))] for reason in Reason} == {0}
    assert found[_key("fitqueue_slots")] == found[_key("fitqueue_gpus")] == found[_key("fitqueue_gpus_in_use")] == 0
    assert not [labels for _, labels in found if dict(labels).get("pool")], "no pool is served, and nothing waits"


def test_jobs_queues_and_devices(
    scrape: Callable[[], Scraped],
    database: Database,
    submit: Callable[..., str],
    later: Callable[[float], None],
) -> None:
    gpus = ["GPU-1", "GPU-2", "GPU-3", "GPU-4"]
    _register(database, "w1", pools=["default", "large"], slots=2, gpus=gpus)
    _register(database, "w2", slots=3, gpus=gpus)  # of the same machine
    submit(resources={"gpus": 2, "pool": "large"})
    with database.write() as session:
        assert leases.claim(session, "w1", ["large"], [VisibleGPU(uuid) for uuid in gpus], 600)
    submit()
    later(40)
    submit()
    submit(resources={"pool": "nobody"})
    later(20)
    _register(database, "w1", pools=["default", "large"], slots=2, gpus=gpus)
    _register(database, "w2", slots=3, gpus=gpus)
    found = scrape()
    assert (found[_key("fitqueue_jobs", state="running")], found[_key("fitqueue_jobs", state="queued")]) == (1, 3)
    lengths = {pool: found[_key("fitqueue_queue_length", pool=pool)] for pool in ("default", "large", "nobody")}
    assert lengths == {"default": 2, "large": 0, "nobody": 1}
    assert [found[_key("fitqueue_jobs_running", pool=pool)] for pool in ("default", "large")] == [0, 1]
    ages = [found[_key("fitqueue_queue_oldest_seconds", pool=pool)] for pool in ("default", "nobody", "large")]
    assert ages == [pytest.approx(60, abs=15), pytest.approx(20, abs=15), 0]
    serving = {pool: found[_key("fitqueue_workers", pool=pool)] for pool in ("default", "large")}
    assert serving == {"default": 2, "large": 1}
    assert _key("fitqueue_workers", pool="nobody") not in found
    assert (found[_key("fitqueue_gpus")], found[_key("fitqueue_gpus_in_use")]) == (4, 2)
    assert found[_key("fitqueue_slots")] == 5


def test_a_silent_worker_is_not_counted(
    scrape: Callable[[], Scraped],
    database: Database,
    submit: Callable[..., str],
    take: Callable[[], ClaimedJob],
    later: Callable[[float], None],
) -> None:
    _register(database, "w1", gpus=["GPU-1", "GPU-2", "GPU-3", "GPU-4"])
    submit()
    take()
    assert scrape()[_key("fitqueue_gpus")] == 4
    later(31)
    found = scrape()
    assert found[_key("fitqueue_gpus")] == 0
    assert found[_key("fitqueue_workers", pool="default")] == 0, "whoever scales by it must be told of a known pool"
    assert found[_key("fitqueue_queue_length", pool="default")] == 0


def test_how_long_things_took(
    scrape: Callable[[], Scraped],
    database: Database,
    submit: Callable[..., str],
    take: Callable[[], ClaimedJob],
    later: Callable[[float], None],
) -> None:
    submit()
    later(20)
    claimed = take()
    later(400)
    with database.write() as session:
        recording.record_phase(session, claimed.lease, Phase.BUILDING)
        recording.record_phase(session, claimed.lease, Phase.TRAINING)
        recording.record_phase(session, claimed.lease, Phase.SAVING)
    for number, seconds in enumerate((0.05, 0.1, 0.11, 5000.0, 50_000.0), start=1):
        with database.write() as session:
            recording.record_epoch(session, claimed.lease, _epoch(number, seconds))
    found = scrape()

    def up_to(name: str, bound: str) -> float:
        return found[_key(f"{name}_bucket", pool="default", le=bound)]

    assert up_to("fitqueue_claim_latency_seconds", "10.0") == 0
    assert up_to("fitqueue_claim_latency_seconds", "60.0") == up_to("fitqueue_claim_latency_seconds", "+Inf") == 1
    assert found[_key("fitqueue_claim_latency_seconds_sum", pool="default")] == pytest.approx(20, abs=15)
    assert found[_key("fitqueue_start_up_seconds_count", pool="default")] == 1
    assert up_to("fitqueue_start_up_seconds", "300.0") == 0
    epochs = [up_to("fitqueue_epoch_seconds", bound) for bound in ("0.1", "0.5", "3600.0", "14400.0", "+Inf")]
    assert epochs == [2, 3, 3, 4, 5]
    assert found[_key("fitqueue_epoch_seconds_sum", pool="default")] == pytest.approx(55_000.26)


def test_a_job_that_was_put_back_waits_from_then_on(
    scrape: Callable[[], Scraped],
    database: Database,
    submit: Callable[..., str],
    take: Callable[[], ClaimedJob],
    later: Callable[[float], None],
) -> None:
    submit()
    claimed = take()
    later(5000)
    with database.write() as session:
        assert leases.requeue(session, claimed.lease, "The worker was shut down.")
    assert scrape()[_key("fitqueue_queue_oldest_seconds", pool="default")] < 60
    later(100)
    assert 100 <= scrape()[_key("fitqueue_queue_oldest_seconds", pool="default")] < 160
    take()
    found = scrape()
    assert found[_key("fitqueue_claim_latency_seconds_bucket", pool="default", le="60.0")] == 1
    assert found[_key("fitqueue_claim_latency_seconds_bucket", pool="default", le="300.0")] == 2


def test_counts_only_grow_whatever_is_deleted(
    http: FlaskClient,
    scrape: Callable[[], Scraped],
    database: Database,
    submit: Callable[..., str],
    take: Callable[[], ClaimedJob],
) -> None:
    done, cancelled = submit(), submit()
    claimed = take()
    with database.write() as session:
        recording.record_epoch(session, claimed.lease, _epoch(1, 2.0))
        assert leases.finish(session, claimed.lease, Reason.COMPLETED, "Done.")
        assert leases.finish(session, claimed.lease, Reason.COMPLETED, "Done."), "the answer was lost"
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


def test_what_was_not_committed_does_not_count(
    scrape: Callable[[], Scraped], database: Database, submit: Callable[..., str], take: Callable[[], ClaimedJob]
) -> None:
    submit()
    claimed = take()

    def fail() -> None:
        with database.write() as session:
            recording.record_epoch(session, claimed.lease, _epoch(1, 2.0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert scrape()[_key("fitqueue_claim_latency_seconds_count", pool="default")] == 1
    assert scrape()[_key("fitqueue_epoch_seconds_count", pool="default")] == 0


def test_not_more_than_the_longest_queues(
    scrape: Callable[[], Scraped], submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.gauges.MAX_QUEUES", 2)
    for pool, count in (("a", 1), ("b", 3), ("c", 2)):
        for _ in range(count):
            submit(resources={"pool": pool})
    found = scrape()
    assert found[_key("fitqueue_queue_length", pool="b")] == 3
    assert found[_key("fitqueue_queue_length", pool="c")] == 2
    assert _key("fitqueue_queue_length", pool="a") not in found


def test_a_queue_is_told_where_workers_serve_it_or_have_served_it(
    scrape: Callable[[], Scraped], submit: Callable[..., str], database: Database, take: Callable[[], ClaimedJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its length is what an autoscaler looks at: others that name pools must not make it 0."""
    monkeypatch.setattr("service.store.gauges.MAX_QUEUES", 1)
    submit()
    take()
    _register(database, "wk_a", pools=["small"])
    for pool, count in (("default", 1), ("small", 1), ("unserved", 3), ("another", 2)):
        for _ in range(count):
            submit(resources={"pool": pool})
    found = scrape()
    lengths = {
        dict(labels)["pool"]: value for (name, labels), value in found.items() if name == "fitqueue_queue_length"
    }
    assert lengths == {"default": 1, "small": 1, "unserved": 3}


def test_each_process_says_the_same(
    services: Services,
    scrape: Callable[[], Scraped],
    submit: Callable[..., str],
    take: Callable[[], ClaimedJob],
    token: str,
) -> None:
    submit()
    take()
    other = create_app(services.settings)
    answer = other.test_client().get("/metrics", headers={"Authorization": f"Bearer {token}"})
    other.extensions[EXTENSION].database.close()
    assert _samples(answer.text) == scrape()
