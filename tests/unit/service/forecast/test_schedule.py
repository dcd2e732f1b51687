"""Who starts when."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.forecast.estimate import Estimate
from service.forecast.machines import Worker
from service.forecast.schedule import Limit, Run, RunningJob, WaitingJob, count_ahead, schedule

CPU = Worker(frozenset({"default"}), 1)
GPUS = frozenset({"GPU-a", "GPU-b"})


def _job(id: str, takes: float | None = 10.0, *, pool: str = "default", gpus: int = 0, **fields: Any) -> WaitingJob:
    return WaitingJob(id, pool, gpus, None if takes is None else Estimate(takes), **fields)


def _running(left: float | None, worker: int = 0, gpus: int = 0) -> RunningJob:
    return RunningJob(worker, gpus, None if left is None else Estimate(left))


def _starts(runs: Mapping[str, Run]) -> dict[str, float]:
    return {id: run.starts.seconds for id, run in runs.items()}


def _schedule(workers: Sequence[Worker], running: Sequence[RunningJob], *waiting: WaitingJob) -> dict[str, float]:
    return _starts(schedule(workers, running, waiting))


def test_one_slot_takes_one_job_after_the_other() -> None:
    runs = schedule([CPU], [_running(5.0)], [_job("a"), _job("b", 20.0), _job("c")])
    assert _starts(runs) == {"a": 5.0, "b": 15.0, "c": 35.0}
    assert runs["b"].ends == Estimate(35.0)


def test_a_free_slot_takes_the_first_job_at_once() -> None:
    assert _schedule([CPU], [], _job("a")) == {"a": 0.0}


def test_slots_of_all_workers_that_serve_the_pool_count() -> None:
    other = Worker(frozenset({"large"}), 4)
    two = Worker(frozenset({"default", "large"}), 2)
    waiting = [_job("a"), _job("b"), _job("c"), _job("d"), _job("e", pool="large")]
    assert _schedule([CPU, two, other], [], *waiting) == {"a": 0.0, "b": 0.0, "c": 0.0, "d": 10.0, "e": 0.0}


def test_a_worker_of_several_pools_takes_the_first_job_of_all() -> None:
    both = Worker(frozenset({"default", "large"}), 1)
    waiting = [_job("a", pool="large"), _job("b"), _job("c", pool="large")]
    assert _schedule([both], [], *waiting) == {"a": 0.0, "b": 10.0, "c": 20.0}
    assert count_ahead([both], waiting) == {"a": 0, "b": 1, "c": 2}
    assert count_ahead([CPU], waiting) == {"a": 0, "b": 0, "c": 1}


def test_gpus_are_shared_by_the_workers_of_a_machine() -> None:
    machine = [Worker(frozenset({"default"}), 1, GPUS) for _ in range(3)]
    waiting = [_job("a", gpus=1), _job("b"), _job("c", gpus=1), _job("d", gpus=2)]
    assert _schedule(machine, [_running(5.0, 0, gpus=1)], *waiting) == {"a": 0.0, "b": 0.0, "c": 5.0, "d": 15.0}


def test_a_small_job_overtakes_a_large_one_until_the_gpus_are_reserved() -> None:
    machine = [Worker(frozenset({"default"}), 1, GPUS) for _ in range(3)]
    running = [_running(30.0, 0, gpus=1)]
    large, small, cpu = _job("large", gpus=2), _job("small", 100.0, gpus=1), _job("cpu")
    assert _schedule(machine, running, large, small, cpu) == {"small": 0.0, "cpu": 0.0, "large": 100.0}
    reserving = _job("large", gpus=2, waited=61.0)
    assert _schedule(machine, running, reserving, small, cpu) == {"cpu": 0.0, "large": 30.0, "small": 40.0}


def test_a_job_that_no_live_worker_can_take_has_no_start() -> None:
    waiting = [_job("gone", pool="gone"), _job("large", gpus=4), _job("a")]
    assert _schedule([Worker(frozenset({"default"}), 1, GPUS)], [], *waiting) == {"a": 0.0}
    assert _schedule([], [], _job("a")) == {}


def test_behind_a_job_of_unknown_length_nobody_knows() -> None:
    assert _schedule([CPU], [_running(None)], _job("a")) == {}
    assert _schedule([CPU], [], _job("a", None), _job("b")) == {"a": 0.0}


def test_beside_a_job_of_unknown_length_there_is_an_upper_bound() -> None:
    runs = schedule([CPU, CPU], [_running(None), _running(7.0, 1)], [_job("a"), _job("b")])
    assert runs["a"].starts == Estimate(7.0, True)
    assert runs["b"].starts == Estimate(17.0, True)


def test_a_job_behind_one_that_may_end_earlier_may_start_earlier() -> None:
    early = WaitingJob("early", "default", 0, Estimate(10.0, is_upper_bound=True))
    runs = schedule([CPU], [], [early, _job("a")])
    assert runs["early"] == Run(Estimate(0.0), Estimate(10.0, True))
    assert runs["a"] == Run(Estimate(10.0, True), Estimate(20.0, True))
    other = schedule([CPU, Worker(frozenset({"x"}), 1)], [], [early, _job("b", pool="x"), _job("c", pool="x")])
    assert other["c"].starts == Estimate(10.0), "no worker serves both pools"


def test_a_job_that_is_tried_later_lets_others_go_first() -> None:
    assert _schedule([CPU], [], _job("a", ready_in=5.0), _job("b", 20.0)) == {"b": 0.0, "a": 20.0}
    assert _schedule([CPU], [], _job("a", ready_in=5.0)) == {"a": 5.0}


def test_a_worker_with_more_jobs_than_slots_takes_none() -> None:
    """It was started again with fewer slots."""
    assert _schedule([CPU], [_running(5.0), _running(9.0)], _job("a")) == {"a": 9.0}


def test_a_thousand_jobs_of_many_kinds_all_start() -> None:
    workers = [Worker(frozenset({f"p{n % 5}", "default"}), 4, frozenset({f"GPU-{n}"})) for n in range(20)]
    waiting = [_job(str(n), 60.0, pool=f"p{n % 5}", gpus=n % 2, waited=100.0) for n in range(1000)]
    starts = _schedule(workers, [], *waiting)
    assert len(starts) == 1000
    assert max(starts.values()) == 60.0 * (500 // 20 - 1), "half of them need a GPU, and each machine has one"


ADA = frozenset({"ada"})


def test_jobs_of_somebody_at_a_limit_wait_and_others_overtake_them() -> None:
    running = [RunningJob(0, 0, Estimate(5.0), ADA)]
    waiting = [_job("a", holders=ADA), _job("b", holders=ADA), _job("c")]
    runs = schedule([CPU, CPU], running, waiting, {"ada": Limit(jobs=1, gpus=None)})
    assert _starts(runs) == {"c": 0.0, "a": 5.0, "b": 15.0}


def test_a_job_that_ends_anywhere_makes_room_in_a_limit() -> None:
    workers = [Worker(frozenset({"x"}), 1), CPU]
    running = [RunningJob(0, 0, Estimate(5.0, is_upper_bound=True), ADA)]
    runs = schedule(workers, running, [_job("a", holders=ADA)], {"ada": Limit(jobs=1, gpus=None)})
    assert runs["a"].starts == Estimate(5.0, is_upper_bound=True)


def test_a_limit_of_gpus_holds_up_jobs_with_gpus_and_reserves_none_for_them() -> None:
    machine = [Worker(frozenset({"default"}), 1, GPUS) for _ in range(3)]
    running = [RunningJob(0, 1, Estimate(30.0), ADA)]
    large = _job("large", gpus=2, waited=61.0, holders=ADA)
    cpu, small = _job("cpu", holders=ADA), _job("small", gpus=1)
    runs = schedule(machine, running, [large, cpu, small], {"ada": Limit(jobs=None, gpus=2)})
    assert _starts(runs) == {"cpu": 0.0, "small": 0.0, "large": 30.0}


def test_a_job_that_no_limit_lets_run_has_no_start() -> None:
    runs = schedule([CPU], [], [_job("a", holders=ADA), _job("b")], {"ada": Limit(jobs=0, gpus=None)})
    assert _starts(runs) == {"b": 0.0}
