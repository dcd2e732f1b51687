"""Which preemptible jobs make room for others."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from service.forecast.victims import RunningJob, Spare, WaitingJob, Worker, choose_victims, count_spare

START = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULT = frozenset({"default"})


def _worker(id: str = "w1", *, slots: int = 1, gpus: int = 0, pools: frozenset[str] = DEFAULT) -> Worker:
    return Worker(id, pools, slots, _gpus(*range(gpus)))


def _gpus(*numbers: int) -> frozenset[str]:
    return frozenset(f"GPU-{number:02}" for number in numbers)


def _running(
    claimed: int, *gpus: int, worker: str = "w1", preemptible: bool = True, leaves: bool = False
) -> RunningJob:
    claimed_at = START + timedelta(seconds=claimed)
    return RunningJob(f"job_{claimed}", worker, _gpus(*gpus), claimed_at, preemptible, leaves)


def _chosen(workers: Sequence[Worker], running: Sequence[RunningJob], *waiting: WaitingJob) -> list[str]:
    return [job.id for job in choose_victims(workers, running, waiting)]


CPU_JOB = WaitingJob("default", 0)


def test_the_job_that_was_claimed_last_makes_room() -> None:
    running = [_running(1), _running(3), _running(2), _running(4, preemptible=False)]
    assert _chosen([_worker(slots=4)], running, CPU_JOB) == ["job_3"]


def test_no_job_makes_room_if_a_slot_is_free_or_is_about_to_be() -> None:
    assert _chosen([_worker(slots=2)], [_running(1)], CPU_JOB) == []
    assert _chosen([_worker(slots=2)], [_running(1), _running(2, leaves=True)], CPU_JOB) == []
    assert _chosen([_worker(slots=2)], [_running(1), _running(2, leaves=True)], CPU_JOB, CPU_JOB) == ["job_1"]


def test_no_job_makes_room_for_one_that_does_not_fit_then() -> None:
    running = [_running(1, 0), _running(2, 1, preemptible=False)]
    assert _chosen([_worker(slots=2, gpus=2)], running, WaitingJob("default", 2)) == []
    assert _chosen([_worker(slots=2, gpus=2)], running, WaitingJob("other", 1)) == []
    assert _chosen([_worker(slots=2, gpus=2)], running, WaitingJob("default", 2), WaitingJob("default", 1)) == ["job_1"]


def test_no_job_gives_up_a_gpu_that_is_reserved_for_a_large_job() -> None:
    workers = [_worker(slots=3, gpus=2)]
    running = [_running(1, 0), _running(2, 1, preemptible=False)]
    large, small = WaitingJob("default", 2, reserves=True), WaitingJob("default", 1)
    assert _chosen(workers, running, large, small) == []
    assert _chosen(workers, running, small, large) == ["job_1"]
    other = Worker("w2", DEFAULT, 1, _gpus(7))
    assert _chosen([*workers, other], [*running, _running(3, 7, worker="w2")], large, small) == ["job_3"]


def test_a_job_without_gpus_reserves_none() -> None:
    workers = [_worker(slots=1, gpus=1), _worker("w2", slots=1, pools=frozenset({"x"})), _worker("w3", gpus=1)]
    running = [_running(1, 0, worker="w3"), _running(2, worker="w2", preemptible=False)]
    assert _chosen(workers, running, WaitingJob("x", 0, reserves=True), WaitingJob("default", 1)) == ["job_1"]


def test_a_job_of_another_worker_of_the_machine_gives_its_gpu_and_not_its_slot() -> None:
    machine = [_worker("w1", gpus=1), _worker("w2", gpus=1, pools=frozenset({"other"}))]
    assert _chosen(machine, [_running(1, 0, worker="w2")], WaitingJob("default", 1)) == ["job_1"]
    assert _chosen(machine, [_running(1, worker="w1"), _running(2, worker="w2")], CPU_JOB) == ["job_1"]
    both = [_running(1, 0, worker="w2"), _running(2, worker="w1")]
    assert _chosen(machine, both, WaitingJob("default", 1)) == ["job_2", "job_1"]


def test_one_job_with_many_gpus_is_fewer_than_many_with_one() -> None:
    running = [_running(1, 0, 1), _running(2, 2), _running(3, 3)]
    assert _chosen([_worker(slots=4, gpus=4)], running, WaitingJob("default", 2)) == ["job_1"]


def test_many_small_jobs_make_room_for_one_that_needs_the_whole_machine() -> None:
    running = [_running(number, number) for number in range(16)]
    chosen = _chosen([_worker(slots=16, gpus=16)], running, WaitingJob("default", 16))
    assert chosen == [f"job_{number}" for number in reversed(range(16))]


def test_many_jobs_without_gpus_do_not_keep_one_with_a_gpu_from_making_room() -> None:
    running = [_running(0, 0), *(_running(number) for number in range(1, 13))]
    assert _chosen([_worker(slots=14, gpus=1)], running, WaitingJob("default", 1)) == ["job_0"]


@st.composite
def _machines(draw: st.DrawFn) -> tuple[list[Worker], list[RunningJob]]:
    gpus = draw(st.integers(0, 6))
    workers = [
        _worker(f"w{number}", slots=draw(st.integers(1, 4)), gpus=gpus) for number in range(draw(st.integers(1, 3)))
    ]
    free = list(range(gpus))
    running = []
    for number in range(draw(st.integers(0, 8))):
        held = [free.pop() for _ in range(draw(st.integers(0, min(3, len(free)))))]
        worker = draw(st.sampled_from(workers)).id
        running.append(_running(number, *held, worker=worker, preemptible=draw(st.booleans())))
    return workers, running


def _fits_without(workers: Sequence[Worker], running: Sequence[RunningJob], job: WaitingJob) -> bool:
    held = frozenset[str]().union(*(each.gpus for each in running))
    return any(
        worker.slots > sum(each.worker_id == worker.id for each in running) and len(worker.gpus - held) >= job.gpus
        for worker in workers
    )


@given(machine=_machines(), gpus=st.integers(0, 6))
def test_no_choice_has_fewer_jobs_or_ones_that_were_claimed_later(
    machine: tuple[list[Worker], list[RunningJob]], gpus: int
) -> None:
    """All choices are compared."""
    workers, running = machine
    job = WaitingJob("default", gpus)
    latest = sorted((each for each in running if each.preemptible), key=lambda each: each.claimed_at, reverse=True)
    expected = next(
        (
            [victim.id for victim in victims]
            for count in range(len(latest) + 1)
            for victims in combinations(latest, count)
            if _fits_without(workers, [each for each in running if each not in victims], job)
        ),
        [],
    )
    assert _chosen(workers, running, job) == expected


@given(machine=_machines(), gpus=st.lists(st.integers(0, 4), max_size=5))
def test_each_waiting_job_takes_what_it_was_given(
    machine: tuple[list[Worker], list[RunningJob]], gpus: list[int]
) -> None:
    """The jobs that are asked free what is missing, and none is asked twice, nor again when it was asked before."""
    workers, running = machine
    waiting = [WaitingJob("default", count) for count in gpus]
    chosen = _chosen(workers, running, *waiting)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= {each.id for each in running if each.preemptible}
    asked = [replace(each, leaves=each.id in chosen) for each in running]
    assert _chosen(workers, asked, *waiting) == []


@given(machine=_machines(), gpus=st.lists(st.integers(0, 4), max_size=5), wanted=st.integers(0, 6))
def test_a_preemptible_job_that_takes_what_is_spare_is_not_asked_to_leave(
    machine: tuple[list[Worker], list[RunningJob]], gpus: list[int], wanted: int
) -> None:
    workers, running = machine
    waiting = [WaitingJob("default", count) for count in gpus]
    chosen = choose_victims(workers, running, waiting)
    asked = [replace(each, leaves=each in chosen) for each in running]
    spare = count_spare(workers[0], workers, asked, waiting)
    free = sorted(workers[0].gpus - frozenset[str]().union(*(each.gpus for each in running)))
    if spare.slots > 0 and wanted <= min(spare.gpus, len(free)):
        taken = frozenset(free[:wanted])
        asked.append(RunningJob("new", workers[0].id, taken, START + timedelta(days=1), preemptible=True))
    assert choose_victims(workers, asked, waiting) == []


def test_what_is_spare_is_what_no_waiting_job_needs() -> None:
    machine = [_worker("w1", slots=2, gpus=4), _worker("w2", slots=1, gpus=4, pools=frozenset({"other"}))]
    running = [_running(1, 0, 1, preemptible=False), _running(2, 2, leaves=True)]
    assert count_spare(machine[1], machine, running, []) == Spare(slots=1, gpus=2)
    assert count_spare(machine[1], machine, running, [WaitingJob("default", 1)]) == Spare(slots=1, gpus=1)
    assert count_spare(machine[1], machine, running, [WaitingJob("default", 3)]) == Spare(slots=1, gpus=2)
    assert count_spare(machine[1], machine, running, [WaitingJob("other", 1)]) == Spare(slots=0, gpus=1)
