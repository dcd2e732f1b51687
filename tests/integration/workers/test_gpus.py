"""Four workers on a machine that seems to have four GPUs: real claims, real processes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, pairwise
from typing import Any

import pytest
from sqlalchemy import func, select

from fitqueue.states import EventKind, JobState, Phase, Reason
from service.db import Database
from service.models import Event, GPUClaim, Job
from service.queue import Notifier
from service.store import actions, job_details, jobs, logs, workers
from service.store.gpus import MeasuredGPU
from tests.integration.workers.conftest import Redis
from tests.integration.workers.four_gpus import RESERVATION_DELAY, TOTAL_BYTES, UTILIZATION, UUIDS

pytestmark = pytest.mark.timeout(900)  # the first test waits for four workers, which start one by one

WORKERS = 4
ENDLESS = {"epochs": 100_000, "batch_size": 64, "verbose": 0}
SIZES = [1, 1, 2, 4, 1, 3, 1, 2, 1, 1] * 20
RUN_SECONDS = 200.0

Until = Callable[..., Any]


@dataclass
class Host:
    """The machine's database and notifier, with what the tests do with them."""

    database: Database
    notifier: Notifier
    make_spec: Callable[..., Any]

    def submit(self, **fields: Any) -> str:
        with self.database.write() as session:
            job_id = jobs.create(session, self.make_spec(**fields), []).id
        self.notifier.notify("default")
        return job_id

    def job(self, job_id: str) -> Job:
        with self.database.read() as session:
            return jobs.get(session, job_id)

    def trains(self, job_id: str) -> bool:
        return self.job(job_id).phase is Phase.TRAINING

    def cancel(self, job_id: str) -> None:
        with self.database.write() as session:
            actions.cancel(session, job_id)

    def waiting_for(self, job_id: str) -> str:
        with self.database.read() as session:
            queue = job_details.read(session, jobs.get(session, job_id), 30.0).queue
        assert queue is not None
        return queue.waiting_for

    def gpus(self, job_id: str) -> list[str]:
        """Return the GPUs of its newest attempt, as its events say."""
        with self.database.read() as session:
            query = select(Event.data).where(Event.job_id == job_id, Event.kind == EventKind.CLAIMED)
            data = session.scalars(query.order_by(Event.id)).all()
        return list(data[-1]["gpus"])

    def lines(self, job_id: str) -> list[str]:
        with self.database.read() as session:
            return [line.text for line in logs.tail(session, job_id, 100)]


@pytest.fixture(scope="module")
def machine(
    new_postgres_database: Callable[[str | None], str], postgres_template: str, run_worker: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Database, Notifier]]:  # fmt: skip
    folder = tmp_path_factory.mktemp("machine")
    redis = Redis(folder)
    redis.start()
    url = new_postgres_database(postgres_template)
    database = Database(url)
    settings = {"database_url": url, "redis_url": redis.url, "module": "tests.integration.workers.four_gpus"}
    with ExitStack() as on_exit:
        on_exit.callback(database.close)
        on_exit.callback(redis.stop)
        for _ in range(WORKERS):  # one by one: four imports of TensorFlow at once would take too long
            on_exit.enter_context(run_worker(database, folder, **settings))
        yield database, Notifier(redis.url)


@pytest.fixture
def host(machine: tuple[Database, Notifier], make_spec: Callable[..., Any]) -> Host:
    return Host(*machine, make_spec)


def test_jobs_train_at_the_same_time_on_different_gpus(host: Host, until: Until) -> None:
    three = [host.submit(fit=ENDLESS, resources={"gpus": count}) for count in (1, 1, 2)]
    until(lambda: all(host.trains(job_id) for job_id in three))
    held = [host.gpus(job_id) for job_id in three]
    assert sorted(chain.from_iterable(held)) == UUIDS
    assert [host.lines(job_id)[0] for job_id in three] == [f"sees {','.join(uuids)}" for uuids in held]
    with host.database.read() as session:
        details = workers.list_all(session, 30.0)
        assert len(session.scalars(select(GPUClaim)).all()) == 4
    assert sorted(chain.from_iterable(worker.gpus_held for worker in details)) == UUIDS
    jobs_by_worker = {worker.worker.id: worker.jobs for worker in details if worker.jobs}
    assert jobs_by_worker == {host.job(job_id).worker_id: [job_id] for job_id in three}
    holders = {uuid: job_id for job_id, uuids in zip(three, held, strict=True) for uuid in uuids}
    assert [worker.gpus_held_by for worker in details] == [holders] * WORKERS, "they all see the same GPUs"
    for worker in details:
        use = [
            MeasuredGPU(**{name: gpu[name] for name in gpu if name not in {"measured_at", "is_foreign"}})
            for gpu in worker.worker.gpu_use
        ]
        assert use == [MeasuredGPU(uuid, "Simulated", UTILIZATION, 0, TOTAL_BYTES) for uuid in UUIDS]
        assert set(worker.worker.versions) == {"fitqueue", "python", "tensorflow", "keras"}

    fourth, too_large = host.submit(resources={"gpus": 1}), host.submit(resources={"gpus": 5})
    without = host.submit(fit={"epochs": 1})
    until(lambda: host.job(without).state is JobState.SUCCEEDED)
    assert host.lines(without)[0] == "sees -1"
    assert host.waiting_for(fourth) == "a worker with 1 GPU free"
    assert host.waiting_for(too_large) == "5 GPUs on one machine; the largest live worker has 4"
    host.cancel(three[1])
    until(lambda: host.job(fourth).state is JobState.SUCCEEDED)
    assert host.gpus(fourth) == held[1]

    four = host.submit(resources={"gpus": 4}, fit={"epochs": 1})
    for job_id in (three[0], three[2], too_large):
        host.cancel(job_id)
    until(lambda: host.job(four).state.is_final)
    assert host.job(four).reason is Reason.COMPLETED
    assert host.lines(four)[0] == f"sees {','.join(UUIDS)}"


def test_two_hundred_jobs_of_one_to_four_gpus(host: Host, until: Until) -> None:
    """Each process locks its GPUs, and fails if another process has one of them."""
    sizes = dict(zip([host.submit(name="holds", resources={"gpus": size}) for size in SIZES], SIZES, strict=True))
    until(lambda: all_ended(host, list(sizes)), RUN_SECONDS)
    with host.database.read() as session:
        assert {job.reason for job in session.scalars(select(Job).where(Job.id.in_(sizes)))} == {Reason.NAN_LOSS}
    claims = history(host, list(sizes))
    assert sum(len(claim.gpus) for claim in claims) == sum(SIZES)
    for uuid in UUIDS:
        of_gpu = [claim for claim in claims if uuid in claim.gpus]
        held_twice = [(earlier, later) for earlier, later in pairwise(of_gpu) if earlier.until > later.since]
        assert held_twice == [], f"{uuid} was held twice"
    for large in (claim for claim in claims if len(claim.gpus) == 4):
        overtaken_by = [claim for claim in claims if large.was_passed_over_for(claim)]
        assert overtaken_by == [], f"{large} was passed over for {overtaken_by}"


@dataclass(frozen=True)
class Held:
    """What one attempt held, and when."""

    job_id: str
    created_at: datetime
    gpus: list[str]
    since: datetime
    until: datetime

    def was_passed_over_for(self, other: "Held") -> bool:
        """Tell whether `other`, a younger job, was claimed first although this one had waited long enough."""
        return self.job_id < other.job_id and self.created_at + RESERVATION_DELAY < other.since < self.since


def all_ended(host: Host, job_ids: list[str]) -> bool:
    with host.database.read() as session:
        query = select(func.count()).where(Job.id.in_(job_ids), Job.finished_at.is_not(None))
        return session.scalar(query) == len(job_ids)


def history(host: Host, job_ids: list[str]) -> list[Held]:
    """Return what each attempt held and when, in order, from the events alone."""
    with host.database.read() as session:
        created = {job.id: job.created_at for job in session.scalars(select(Job).where(Job.id.in_(job_ids)))}
        events = session.scalars(select(Event).where(Event.job_id.in_(job_ids)).order_by(Event.id)).all()
    ends = {(event.job_id, event.attempt): event.at for event in events}  # the last one of an attempt counts
    claims = [
        Held(event.job_id, created[event.job_id], event.data["gpus"], event.at, ends[event.job_id, event.attempt])
        for event in events
        if event.kind is EventKind.CLAIMED
    ]
    return sorted(claims, key=lambda claim: claim.since)
