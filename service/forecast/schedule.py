"""Who starts when: the queue is played through, with the workers, slots and GPUs that there are now.

As at a claim, a worker takes the first job that fits: by priority, then by age, in the pools that it serves, with no
more GPUs than its machine has free. A large job that has waited long enough keeps smaller ones off its machine's GPUs
(see `service/store/gpu_reservation.py`). Nothing new arrives, and no attempt fails.
"""

import heapq
import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from service.forecast.estimate import Estimate

RESERVATION_SECONDS: Final = 60.0
"""How long a job lets later ones overtake it."""


@dataclass(frozen=True)
class Worker:
    """A live worker. Workers that see the same GPUs are on one machine."""

    pools: frozenset[str]
    slots: int
    gpus: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunningJob:
    """A job in a slot. `worker` is the index of its worker; `left` is None if nobody knows how long it takes."""

    worker: int
    gpus: int
    left: Estimate | None


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
    """

    id: str
    pool: str
    gpus: int
    takes: Estimate | None
    ready_in: float = 0.0
    waited: float = 0.0


@dataclass(frozen=True)
class Run:
    """When a waiting job starts, and when it ends; None if nobody knows."""

    starts: Estimate
    ends: Estimate | None


def schedule(workers: Sequence[Worker], running: Iterable[RunningJob], waiting: Sequence[WaitingJob]) -> dict[str, Run]:
    """Return when each waiting job starts and ends, by id. One whose start nobody knows is left out.

    Args:
        workers: those that are alive.
        running: the jobs that they train.
        waiting: the jobs in the order of claims.
    """
    return _Schedule(workers, running, waiting).play()


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


@dataclass(eq=False)
class _Machine:
    """The GPUs that some workers share."""

    gpus: set[str]
    workers: "list[_Slots]"
    free: int = 0


@dataclass(eq=False)
class _Slots:
    """The free slots of a worker."""

    worker: Worker
    machine: _Machine
    free: int


_Group = list[tuple[int, WaitingJob]]
"""A heap of waiting jobs of one pool that need equally many GPUs, with their places in the order of claims."""


class _Schedule:
    def __init__(self, workers: Sequence[Worker], running: Iterable[RunningJob], waiting: Sequence[WaitingJob]) -> None:
        self._now = 0.0
        self._runs: dict[str, Run] = {}
        self._numbers = itertools.count()
        self._slots = _on_machines(workers)
        self._ends: list[tuple[float, int, _Slots, int]] = []
        self._waiting: dict[str, dict[int, _Group]] = {}
        self._delayed: list[tuple[float, int, WaitingJob]] = []
        self._loose_pools: set[str] = set()
        """The pools whose jobs may start earlier, because a job before them may end earlier."""
        for job in running:
            self._occupy(self._slots[job.worker], job.gpus, job.left)
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

    def _end_jobs(self) -> list[_Slots]:
        """End the jobs that end now; return the workers that can start others."""
        freed: dict[_Slots, None] = {}
        while self._ends and self._ends[0][0] <= self._now:
            _, _, slots, gpus = heapq.heappop(self._ends)
            slots.free += 1
            slots.machine.free += gpus
            freed |= dict.fromkeys(slots.machine.workers if gpus else [slots])
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
        heapq.heappush(self._waiting.setdefault(job.pool, {}).setdefault(job.gpus, []), (place, job))

    def _fill(self, candidates: Collection[_Slots]) -> None:
        """Let the workers claim jobs, one after the other, until none has a job that fits."""
        claiming = [slots for slots in candidates if slots.free > 0]
        while claiming:
            claiming = [slots for slots in claiming if self._claim(slots) and slots.free > 0]

    def _claim(self, slots: _Slots) -> bool:
        first = min(self._fitting(slots), default=None)
        if first is None:
            return False
        job = self._take(first[1], first[2])
        starts = Estimate(self._now, self._now > 0 and job.pool in self._loose_pools)
        ends = job.takes.after(starts) if job.takes is not None else None
        self._runs[job.id] = Run(starts, ends)
        self._occupy(slots, job.gpus, ends)
        return True

    def _fitting(self, slots: _Slots) -> Iterable[tuple[int, str, int]]:
        """Yield place, pool and GPUs of the first job of each group that this worker can take now."""
        machine = slots.machine
        reserved = self._first_reserving(machine) if machine.free else None
        for pool in slots.worker.pools:
            for gpus, group in self._waiting.get(pool, {}).items():
                place = group[0][0]
                if gpus <= machine.free and (not gpus or reserved is None or place < reserved):
                    yield place, pool, gpus

    def _first_reserving(self, machine: _Machine) -> int | None:
        """Return the place of the first job that has waited long enough for more GPUs than are free here."""
        pools = {pool for slots in machine.workers for pool in slots.worker.pools}
        places = [
            group[0][0]
            for pool in pools
            for gpus, group in self._waiting.get(pool, {}).items()
            if machine.free < gpus <= len(machine.gpus) and group[0][1].waited + self._now >= RESERVATION_SECONDS
        ]
        return min(places, default=None)

    def _take(self, pool: str, gpus: int) -> WaitingJob:
        groups = self._waiting[pool]
        _, job = heapq.heappop(groups[gpus])
        if not groups[gpus]:
            del groups[gpus]
        if not groups:
            del self._waiting[pool]
        return job

    def _occupy(self, slots: _Slots, gpus: int, ends: Estimate | None) -> None:
        slots.free -= 1
        slots.machine.free -= gpus
        if ends is None or ends.is_upper_bound:
            self._loose_pools |= slots.worker.pools
        if ends is not None:
            heapq.heappush(self._ends, (ends.seconds, next(self._numbers), slots, gpus))


def _on_machines(workers: Sequence[Worker]) -> list[_Slots]:
    """Return the slots of each worker, all of them free. Workers that see a GPU in common share a machine."""
    machines: list[_Machine] = []
    all_slots = []
    for worker in workers:
        shared = [machine for machine in machines if not machine.gpus.isdisjoint(worker.gpus)]
        machine = _merged(shared)
        machine.gpus |= worker.gpus
        slots = _Slots(worker, machine, worker.slots)
        machine.workers.append(slots)
        machines = [other for other in machines if other not in shared] + [machine]
        all_slots.append(slots)
    for machine in machines:
        machine.free = len(machine.gpus)
    return all_slots


def _merged(machines: Sequence[_Machine]) -> _Machine:
    merged = _Machine(set(), [])
    for machine in machines:
        merged.gpus |= machine.gpus
        merged.workers += machine.workers
    for slots in merged.workers:
        slots.machine = merged
    return merged
