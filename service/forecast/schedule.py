"""Who starts when: the queue is played through, with the workers, slots and GPUs that there are now.

As at a claim, a worker takes the first job that fits: by priority, then by age, in the pools that it serves, with no
more GPUs than its machine has free. A large job that has waited long enough keeps smaller ones off its machine's GPUs
(see `service/store/gpu_reservation.py`). Jobs of users and projects at their limits wait. Nothing new arrives, and no
attempt fails.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from service.forecast.estimate import Estimate
from service.forecast.machines import Machine, Slots, Worker, on_machines

RESERVATION_SECONDS: Final = 60.0
"""How long a job lets later ones overtake it."""


@dataclass(frozen=True)
class Limit:
    """How many jobs of a user or a project may run at once, and with how many GPUs; None: as many as they like."""

    jobs: int | None
    gpus: int | None


@dataclass(frozen=True)
class RunningJob:
    """A job in a slot.

    Attributes:
        worker: the index of its worker.
        gpus: how many GPUs it has.
        left: how long it still takes; None if nobody knows.
        holders: the users and projects with limits for which it counts.
    """

    worker: int
    gpus: int
    left: Estimate | None
    holders: frozenset[str] = frozenset()


@dataclass(frozen=True)
class WaitingJob:
    """A job in the queue.

    Attributes:
        id: its id.
        pool: its pool.
        gpus: how many GPUs it needs.
        takes: how long it takes once a worker has it; None if nobody knows.
        ready_in: after how many seconds it may be claimed; 0 for now.
        waited: how many seconds it has waited.
        holders: the users and projects with limits for which it counts.
    """

    id: str
    pool: str
    gpus: int
    takes: Estimate | None
    ready_in: float = 0.0
    waited: float = 0.0
    holders: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Run:
    """When a waiting job starts, and when it ends; None if nobody knows."""

    starts: Estimate
    ends: Estimate | None


def schedule(
    workers: Sequence[Worker],
    running: Iterable[RunningJob],
    waiting: Sequence[WaitingJob],
    limits: Mapping[str, Limit] = MappingProxyType({}),
) -> dict[str, Run]:
    """Return when each waiting job starts and ends, by id. One whose start nobody knows is left out.

    Args:
        workers: those that are alive.
        running: the jobs that they train.
        waiting: the jobs in the order of claims.
        limits: those of the holders of these jobs.
    """
    return _Schedule(workers, running, waiting, limits).play()


def count_ahead(workers: Iterable[Worker], waiting: Iterable[WaitingJob]) -> dict[str, int]:
    """Return how many of the waiting jobs go before each one, by id: those before it that its workers may take."""
    rivals: dict[str, set[str]] = {}
    for worker in workers:
        for pool in worker.pools:
            rivals.setdefault(pool, set()).update(worker.pools)
    ahead, counts = {}, dict[str, int]()
    for job in waiting:
        ahead[job.id] = sum(counts.get(pool, 0) for pool in rivals.get(job.pool, {job.pool}))
        counts[job.pool] = counts.get(job.pool, 0) + 1
    return ahead


class _Need(NamedTuple):
    """What a job needs: GPUs, and room in the limits of these."""

    gpus: int
    holders: frozenset[str]


_Group = list[tuple[int, WaitingJob]]
"""A heap of waiting jobs of one pool that need the same, with their places in the order of claims."""


class _Schedule:
    def __init__(
        self,
        workers: Sequence[Worker],
        running: Iterable[RunningJob],
        waiting: Sequence[WaitingJob],
        limits: Mapping[str, Limit],
    ) -> None:
        self._now = 0.0
        self._runs: dict[str, Run] = {}
        self._numbers = itertools.count()
        self._slots = on_machines(workers)
        self._limits = limits
        self._jobs, self._gpus = Counter[str](), Counter[str]()
        """What runs of each holder."""
        self._ends: list[tuple[float, int, Slots, _Need]] = []
        self._waiting: dict[str, dict[_Need, _Group]] = {}
        self._delayed: list[tuple[float, int, WaitingJob]] = []
        self._loose: set[str] = set()
        """The pools and holders whose jobs may start earlier, because a job before them may end earlier."""
        for job in running:
            self._occupy(self._slots[job.worker], _Need(job.gpus, job.holders), job.left)
        for place, waits in enumerate(waiting):
            if waits.ready_in > 0:
                heapq.heappush(self._delayed, (waits.ready_in, place, waits))
            else:
                self._enqueue(place, waits)

    def play(self) -> dict[str, Run]:
        self._fill(self._slots)
        while self._waiting or self._delayed:
            at = min((heap[0][0] for heap in (self._ends, self._delayed) if heap), default=None)
            if at is None:
                break
            self._now = at
            self._fill([*self._end_jobs(), *(self._slots if self._admit_delayed() else [])])
        return self._runs

    def _end_jobs(self) -> list[Slots]:
        """End the jobs that end now; return the workers that can start others."""
        freed: dict[Slots, None] = {}
        while self._ends and self._ends[0][0] <= self._now:
            _, _, slots, need = heapq.heappop(self._ends)
            self._count(slots, need, -1)
            if need.holders:  # workers with free slots may have waited for the room in a limit
                freed |= dict.fromkeys(self._slots)
            freed |= dict.fromkeys(slots.machine.workers if need.gpus else [slots])
        return list(freed)

    def _admit_delayed(self) -> bool:
        """Enqueue the jobs that may be claimed from now on; return whether there are any."""
        has_any = False
        while self._delayed and self._delayed[0][0] <= self._now:
            _, place, job = heapq.heappop(self._delayed)
            self._enqueue(place, job)
            has_any = True
        return has_any

    def _enqueue(self, place: int, job: WaitingJob) -> None:
        groups = self._waiting.setdefault(job.pool, {})
        heapq.heappush(groups.setdefault(_Need(job.gpus, job.holders), []), (place, job))

    def _fill(self, candidates: Collection[Slots]) -> None:
        """Let the workers claim jobs, one after the other, until none has a job that fits."""
        claiming = [slots for slots in candidates if slots.free > 0]
        while claiming:
            claiming = [slots for slots in claiming if self._claim(slots) and slots.free > 0]

    def _claim(self, slots: Slots) -> bool:
        first = min(self._fitting(slots), key=lambda fitting: fitting[0], default=None)
        if first is None:
            return False
        _, pool, need = first
        job = self._take(pool, need)
        starts = Estimate(self._now, self._now > 0 and not self._loose.isdisjoint({pool, *need.holders}))
        ends = job.takes.after(starts) if job.takes is not None else None
        self._runs[job.id] = Run(starts, ends)
        self._occupy(slots, need, ends)
        return True

    def _fitting(self, slots: Slots) -> Iterable[tuple[int, str, _Need]]:
        """Yield place, pool and need of the first job of each group that this worker can take now."""
        machine = slots.machine
        reserved = self._first_reserving(machine) if machine.free else None
        for pool in slots.worker.pools:
            for need, group in self._waiting.get(pool, {}).items():
                place = group[0][0]
                is_overtaking = need.gpus > 0 and reserved is not None and place >= reserved
                if need.gpus <= machine.free and not is_overtaking and self._is_within_limits(need):
                    yield place, pool, need

    def _is_within_limits(self, need: _Need) -> bool:
        return all(
            (limit.jobs is None or self._jobs[holder] < limit.jobs)
            and (limit.gpus is None or need.gpus <= max(limit.gpus - self._gpus[holder], 0))
            for holder in need.holders
            for limit in [self._limits[holder]]
        )

    def _first_reserving(self, machine: Machine) -> int | None:
        """Return the place of the first job that has waited long enough for more GPUs than are free here."""
        pools = {pool for slots in machine.workers for pool in slots.worker.pools}
        places = [
            group[0][0]
            for pool in pools
            for need, group in self._waiting.get(pool, {}).items()
            if machine.free < need.gpus <= len(machine.gpus)
            and group[0][1].waited + self._now >= RESERVATION_SECONDS
            and self._is_within_limits(need)
        ]
        return min(places, default=None)

    def _take(self, pool: str, need: _Need) -> WaitingJob:
        groups = self._waiting[pool]
        _, job = heapq.heappop(groups[need])
        if not groups[need]:
            del groups[need]
        if not groups:
            del self._waiting[pool]
        return job

    def _occupy(self, slots: Slots, need: _Need, ends: Estimate | None) -> None:
        self._count(slots, need, 1)
        if ends is None or ends.is_upper_bound:
            self._loose |= slots.worker.pools | need.holders
        if ends is not None:
            heapq.heappush(self._ends, (ends.seconds, next(self._numbers), slots, need))

    def _count(self, slots: Slots, need: _Need, jobs: int) -> None:
        """Count a job that starts, or that ends with -1."""
        slots.free -= jobs
        slots.machine.free -= jobs * need.gpus
        for holder in need.holders:
            self._jobs[holder] += jobs
            self._gpus[holder] += jobs * need.gpus
