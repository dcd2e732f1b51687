"""Which preemptible jobs make room for others: as few as possible, and those that lose least.

A job takes what is free, or is about to be. Only if it fits nowhere, preemptible jobs of one machine make room, so many
that it fits then: the fewest, and of these the ones that were claimed last. A job that would not even fit then waits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Worker:
    """A live worker that claims jobs. Workers that see the same GPUs are on one machine."""

    id: str
    pools: frozenset[str]
    slots: int
    gpus: frozenset[str]


@dataclass(frozen=True)
class RunningJob:
    """A job on a worker. One that `leaves` was asked to make room before."""

    id: str
    worker_id: str
    gpus: frozenset[str]
    claimed_at: datetime
    preemptible: bool
    leaves: bool = False


@dataclass(frozen=True)
class WaitingJob:
    """A job that is not preemptible, and waits for a worker.

    `reserves`: it has waited so long that the GPUs of a machine are reserved for it as they become free.
    """

    pool: str
    gpus: int
    reserves: bool = False


@dataclass(frozen=True)
class Spare:
    """What no job that waits needs of a worker, and of the GPUs that it sees."""

    slots: int
    gpus: int


@dataclass
class _State:
    """What is free, or is about to be."""

    slots: dict[str, int]
    gpus: set[str]
    victims: list[RunningJob] = field(default_factory=list)
    reserved: set[str] = field(default_factory=set)
    """GPUs that no job gets before the one for which they are reserved."""


def choose_victims(
    workers: Sequence[Worker], running: Iterable[RunningJob], waiting: Iterable[WaitingJob]
) -> list[RunningJob]:
    """Return the jobs that must be asked to make room.

    Args:
        workers: those that claim jobs.
        running: what they train.
        waiting: jobs that are not preemptible, in the order of claims.
    """
    return _play(_begin(workers, running), workers, waiting)


def count_spare(
    worker: Worker, workers: Sequence[Worker], running: Iterable[RunningJob], waiting: Iterable[WaitingJob]
) -> Spare:
    """Return what a preemptible job may take on a worker: what no waiting job needs, which would ask it to leave.

    The other arguments are those of `choose_victims`.
    """
    state = _begin(workers, running)
    _play(state, workers, waiting)
    return Spare(state.slots[worker.id], len(state.gpus & worker.gpus))


def _begin(workers: Sequence[Worker], running: Iterable[RunningJob]) -> _State:
    state = _State({worker.id: worker.slots for worker in workers}, set[str]().union(*(w.gpus for w in workers)))
    victims: list[RunningJob] = []
    for job in running:
        if job.leaves:
            continue
        state.gpus -= job.gpus
        if job.worker_id in state.slots:
            state.slots[job.worker_id] -= 1
            victims += [job] if job.preemptible else []
    state.victims = sorted(victims, key=lambda job: job.claimed_at, reverse=True)
    return state


def _play(state: _State, workers: Sequence[Worker], waiting: Iterable[WaitingJob]) -> list[RunningJob]:
    """Let one job after the other take what is free; return the jobs that make room for them."""
    chosen: list[RunningJob] = []
    hopeless: set[WaitingJob] = set()
    for needed in waiting:
        if needed not in hopeless:
            made = _make_room(workers, state, needed)
            chosen += made or []
            if made is None:
                hopeless.add(needed)
                state.reserved |= _reserved_for(needed, workers)
    return chosen


def _reserved_for(job: WaitingJob, workers: Iterable[Worker]) -> frozenset[str]:
    """Return the GPUs of the machines that could once have as many GPUs free as a job needs."""
    if not (job.gpus and job.reserves):
        return frozenset()
    large = [worker.gpus for worker in workers if job.pool in worker.pools and len(worker.gpus) >= job.gpus]
    return frozenset[str]().union(*large)


def _make_room(workers: Sequence[Worker], state: _State, job: WaitingJob) -> Sequence[RunningJob] | None:
    """Let a job take what is free; return the jobs that make room for it, and None if it fits nowhere."""
    open_to_it = [worker for worker in workers if not (job.gpus and worker.gpus & state.reserved)]
    serving = [worker for worker in open_to_it if job.pool in worker.pools]
    options = [(worker, victims) for worker in serving if (victims := _victims_on(worker, state, job)) is not None]
    if not options:
        return None
    worker, victims = min(options, key=lambda option: (len(option[1]), [-v.claimed_at.timestamp() for v in option[1]]))
    for victim in victims:
        state.victims.remove(victim)
        state.slots[victim.worker_id] += 1
        state.gpus |= victim.gpus
    state.slots[worker.id] -= 1
    state.gpus -= set(sorted(state.gpus & worker.gpus)[: job.gpus])
    return victims


def _victims_on(worker: Worker, state: _State, job: WaitingJob) -> Sequence[RunningJob] | None:
    """Return the fewest jobs that make room for one on this worker: none if it fits now; None if it never does."""
    gains = [gain for victim in state.victims if (gain := _gain(victim, worker)).is_wanted(job)]
    slots, gpus = 1 - state.slots[worker.id], job.gpus - len(state.gpus & worker.gpus)
    for count in range(len(gains) + 1):
        if _can_free(gains, count, slots, gpus):
            return _claimed_last(gains, count, slots, gpus)
    return None


@dataclass(frozen=True)
class _Gain:
    """What a worker gets when a job makes room."""

    victim: RunningJob
    slots: int
    gpus: int

    def is_wanted(self, job: WaitingJob) -> bool:
        return self.slots > 0 or (self.gpus > 0 and job.gpus > 0)


def _gain(victim: RunningJob, worker: Worker) -> _Gain:
    return _Gain(victim, int(victim.worker_id == worker.id), len(victim.gpus & worker.gpus))


def _can_free(gains: Sequence[_Gain], count: int, slots: int, gpus: int) -> bool:
    """Tell whether so many of these jobs, of whichever the most is gained, free these slots and GPUs."""
    largest = sorted(gains, key=lambda gain: gain.gpus, reverse=True)
    of_slots = [gain for gain in largest if gain.slots][: max(slots, 0)]
    others = [gain for gain in largest if gain not in of_slots][: count - len(of_slots)]
    return slots <= len(of_slots) <= count and sum(gain.gpus for gain in (*of_slots, *others)) >= gpus


def _claimed_last(gains: Sequence[_Gain], count: int, slots: int, gpus: int) -> list[RunningJob]:
    """Return so many of these jobs, which are sorted by their claims: the first ones with which the others can do."""
    chosen: list[RunningJob] = []
    for index, gain in enumerate(gains):
        others = count - len(chosen) - 1
        if others >= 0 and _can_free(gains[index + 1 :], others, slots - gain.slots, gpus - gain.gpus):
            chosen.append(gain.victim)
            slots, gpus = slots - gain.slots, gpus - gain.gpus
    return chosen
