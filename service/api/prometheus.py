"""How the service does, for Prometheus.

Read from the database at each scrape: several processes may answer, and none of them has seen all that happened.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.api.context import services
from service.api.parameters import ALWAYS
from service.store import counters, gauges
from service.store.counters import BOUNDS, Counters, Duration, Histogram
from service.store.gauges import Gauges, Queue

blueprint = APIBlueprint("prometheus", __name__, abp_tags=[Tag(name="service")], abp_responses=ALWAYS)

_DURATIONS: Final = {
    Duration.CLAIM_LATENCY: ("fitqueue_claim_latency_seconds", "From when a job began to wait until it was claimed."),
    Duration.START_UP: ("fitqueue_start_up_seconds", "From the claim of a job until its training began."),
    Duration.EPOCH: ("fitqueue_epoch_seconds", "How long an epoch was trained, its validation included."),
}


@blueprint.get(
    "/metrics",
    summary="Figures for Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics() -> Response:
    """In Prometheus's text format: jobs, queues, workers, GPUs, and how long things took."""
    parts = services()
    with parts.database.read() as session:
        counted = counters.read(session)
        present = gauges.read(session, parts.settings.lease_seconds, _served_once(counted))
        figures = Figures(present, counted)
    return Response(generate_latest(figures), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class Figures(Collector):
    """What was read, as Prometheus's families of metrics."""

    def __init__(self, present: Gauges, counted: Counters) -> None:
        self._present = present
        self._counted = counted
        self._serving = _serving(present, counted)

    def collect(self) -> Iterator[Metric]:
        yield from self._jobs()
        yield from self._queues()
        yield from self._workers()
        for duration, (name, about) in _DURATIONS.items():
            empty = {pool: counters.empty(duration) for pool in self._serving}
            yield _histogram(name, about, duration, empty | self._counted.histograms[duration])

    def _jobs(self) -> Iterator[Metric]:
        jobs = {str(state): count for state, count in self._present.jobs.items()}
        yield _gauge("fitqueue_jobs", "Jobs that are stored, by their state.", "state", jobs)
        ended = CounterMetricFamily("fitqueue_jobs_ended", "Ends of jobs, by their reason.", labels=["reason"])
        for reason, count in self._counted.ended.items():
            ended.add_metric([reason], count)
        yield ended

    def _queues(self) -> Iterator[Metric]:
        # 0 where nothing waits: who is told nothing cannot tell that from a service that is down.
        queues = dict.fromkeys(self._serving, Queue()) | self._present.queues
        lengths = {pool: queue.length for pool, queue in queues.items()}
        ages = {pool: queue.oldest_seconds for pool, queue in queues.items()}
        yield _gauge("fitqueue_queue_length", "Jobs that wait for a worker.", "pool", lengths)
        running = dict.fromkeys(queues, 0) | self._present.running
        yield _gauge("fitqueue_jobs_running", "Jobs that are trained.", "pool", running)
        yield _gauge("fitqueue_queue_oldest_seconds", "How long a job has waited that waits longest.", "pool", ages)

    def _workers(self) -> Iterator[Metric]:
        workers = self._present.workers
        yield _gauge("fitqueue_workers", "Live workers that serve the pool.", "pool", self._serving)
        slots = sum(worker.slots for worker in workers)
        yield GaugeMetricFamily("fitqueue_slots", "Jobs that the live workers can train at a time.", slots)
        known = frozenset[str]().union(*(worker.gpus for worker in workers))
        yield GaugeMetricFamily("fitqueue_gpus", "GPUs that live workers see, each once.", len(known))
        yield GaugeMetricFamily("fitqueue_gpus_in_use", "GPUs that running jobs hold.", self._present.gpus_in_use)


def _served_once(counted: Counters) -> Collection[str]:
    return counted.histograms[Duration.CLAIM_LATENCY].keys()


def _serving(present: Gauges, counted: Counters) -> dict[str, int]:
    """How many live workers serve each pool; 0 in those that were served once."""
    serving = dict.fromkeys(_served_once(counted), 0)
    for worker in present.workers:
        for pool in sorted(worker.pools):
            serving[pool] = serving.get(pool, 0) + 1
    return serving


def _gauge(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for value_of_label, value in values.items():
        family.add_metric([value_of_label], value)
    return family


def _histogram(name: str, about: str, duration: Duration, by_pool: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, about, labels=["pool"])
    bounds = [*(str(float(bound)) for bound in BOUNDS[duration]), "+Inf"]
    for pool, histogram in by_pool.items():
        family.add_metric([pool], list(zip(bounds, histogram.counts, strict=True)), histogram.total)
    return family
