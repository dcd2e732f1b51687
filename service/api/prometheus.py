"""The state of the service for Prometheus.

Each scrape reads the database, because several processes may answer and none of them has seen everything.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.api.context import get_services
from service.api.parameters import ALWAYS
from service.store import counters, gauges, usage
from service.store.counters import BUCKET_BOUNDS, Counters, Duration, Histogram
from service.store.gauges import Gauges, Queue
from service.store.usage import PoolUse
from service.store.workers import LiveWorker

blueprint = APIBlueprint("prometheus", __name__, abp_tags=[Tag(name="service")], abp_responses=ALWAYS)

_DURATIONS: Final = {
    Duration.CLAIM_LATENCY: ("fitqueue_claim_latency_seconds", "From when a job was queued until it was claimed."),
    Duration.START_UP: ("fitqueue_start_up_seconds", "From the claim of a job to its first step."),
    Duration.EPOCH: ("fitqueue_epoch_seconds", "How long an epoch took, with its validation."),
}


@blueprint.get(
    "/metrics",
    summary="Metrics for Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_prometheus_metrics() -> Response:
    """Jobs, queues, workers, GPUs, and how long things took, in Prometheus's text format."""
    services = get_services()
    with services.database.read() as session:
        counts = counters.read(session)
        current = gauges.read(session, services.settings.lease_seconds, _pools_served_before(counts))
        uses = usage.by_pool(session)
    return Response(generate_latest(ServiceCollector(current, counts, uses)), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class ServiceCollector(Collector):
    """Turns gauges and counters into Prometheus's metric families."""

    def __init__(self, current: Gauges, counts: Counters, uses: dict[str, PoolUse]) -> None:
        self._current = current
        self._counts = counts
        self._uses = uses
        self._workers_by_pool = _workers_by_pool(current, counts)

    def collect(self) -> Iterator[Metric]:
        yield from self._jobs()
        yield from self._queues()
        yield from self._workers()
        yield from self._use()
        for duration, (name, help_text) in _DURATIONS.items():
            empty = {pool: counters.empty_histogram(duration) for pool in self._workers_by_pool}
            yield _histogram(name, help_text, duration, empty | self._counts.histograms[duration])

    def _jobs(self) -> Iterator[Metric]:
        jobs = {str(state): count for state, count in self._current.jobs.items()}
        yield _gauge("fitqueue_jobs", "Jobs by state.", "state", jobs)
        yield _counter("fitqueue_jobs_ended", "Jobs that have ended, by reason.", "reason", self._counts.ended)

    def _queues(self) -> Iterator[Metric]:
        # 0 if nothing is queued: a missing series would look like a service that is down.
        queues = dict.fromkeys(self._workers_by_pool, Queue()) | self._current.queues
        lengths = {pool: queue.length for pool, queue in queues.items()}
        ages = {pool: queue.oldest_seconds for pool, queue in queues.items()}
        yield _gauge("fitqueue_queue_length", "Queued jobs.", "pool", lengths)
        running = dict.fromkeys(queues, 0) | self._current.running
        yield _gauge("fitqueue_jobs_running", "Running jobs.", "pool", running)
        yield _gauge("fitqueue_queue_oldest_seconds", "How long the oldest queued job has been queued.", "pool", ages)

    def _workers(self) -> Iterator[Metric]:
        workers = self._current.workers
        yield _gauge("fitqueue_workers", "Live workers that serve the pool.", "pool", self._workers_by_pool)
        draining = dict.fromkeys(self._workers_by_pool, 0) | _count_by_pool(
            worker for worker in workers if worker.is_draining
        )
        help_text = "Those of them that are draining: they claim no job."
        yield _gauge("fitqueue_workers_draining", help_text, "pool", draining)
        slots = sum(worker.slots for worker in workers)
        yield GaugeMetricFamily("fitqueue_slots", "Jobs that the live workers can run at the same time.", slots)
        visible = frozenset[str]().union(*(worker.gpus for worker in workers))
        yield GaugeMetricFamily("fitqueue_gpus", "GPUs that live workers see, each counted once.", len(visible))
        yield GaugeMetricFamily("fitqueue_gpus_in_use", "GPUs that running jobs hold.", self._current.gpus_in_use)

    def _use(self) -> Iterator[Metric]:
        uses = dict.fromkeys(self._workers_by_pool, PoolUse()) | self._uses
        gpus = {pool: use.gpu_seconds for pool, use in uses.items()}
        yield _counter("fitqueue_gpu_seconds", "For how long jobs held GPUs, for each GPU.", "pool", gpus)
        processors = {pool: use.cpu_seconds for pool, use in uses.items()}
        yield _counter("fitqueue_cpu_seconds", "Processor time of training processes.", "pool", processors)


def _pools_served_before(counts: Counters) -> Collection[str]:
    return counts.histograms[Duration.CLAIM_LATENCY].keys()


def _workers_by_pool(current: Gauges, counts: Counters) -> dict[str, int]:
    """Count the live workers of each pool. A pool that was served before has 0."""
    return dict.fromkeys(_pools_served_before(counts), 0) | _count_by_pool(current.workers)


def _count_by_pool(workers: Iterable[LiveWorker]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for worker in workers:
        for pool in sorted(worker.pools):
            counts[pool] = counts.get(pool, 0) + 1
    return counts


def _gauge(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value_of_label, value in values.items():
        family.add_metric([value_of_label], value)
    return family


def _counter(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=[label])
    for value_of_label, value in values.items():
        family.add_metric([value_of_label], value)
    return family


def _histogram(name: str, help_text: str, duration: Duration, by_pool: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, help_text, labels=["pool"])
    bounds = [*(str(float(bound)) for bound in BUCKET_BOUNDS[duration]), "+Inf"]
    for pool, histogram in by_pool.items():
        family.add_metric([pool], list(zip(bounds, histogram.counts, strict=True)), histogram.total)
    return family
