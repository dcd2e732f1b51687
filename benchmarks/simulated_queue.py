"""A simulated time of jobs, workers and pools, to compare what the forecast says with what then happens.

Jobs come mostly in working hours, and some as searches: many of one kind at once. What happens is decided here, claim
by claim and epoch by epoch, and not by the code of the forecast, which sees only what the service would know: the
epochs that have ended, the kinds of jobs that have been trained before, and the queue.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Final

from service.forecast.estimate import Estimate
from service.forecast.machines import Worker
from service.forecast.pace import Training, blended, next_pace, start_seconds, time_left, whole_time
from service.forecast.schedule import RESERVATION_SECONDS, RunningJob, WaitingJob, schedule
from service.forecast.similar import nearest

DAY: Final = 86_400.0
LEAST_SECONDS: Final = 60.0
"""Errors of shorter times are compared with this: nobody minds five seconds of ten."""

WORKERS: Final = (
    *(Worker(frozenset({"default", "batch"}), 2) for _ in range(2)),
    Worker(frozenset({"default"}), 2),
    *(Worker(frozenset({"gpu"}), 1, frozenset({f"GPU-a{n}" for n in range(4)})) for _ in range(4)),
    *(Worker(frozenset({"gpu", "batch"}), 1, frozenset({f"GPU-b{n}" for n in range(2)})) for _ in range(2)),
)
_POOLS: Final = {"default": 0.5, "gpu": 0.35, "batch": 0.15}


@dataclass(frozen=True)
class Kind:
    """Jobs of one model and data in one pool: what they have in common."""

    pool: str
    gpus: int
    work: float
    seconds_per_epoch: float
    start_seconds: float
    validated_every: int


@dataclass(eq=False)
class Job:
    """A job, and what will become of it.

    Attributes:
        epoch_seconds: what each epoch that it will train takes.
        lost_after: after how many seconds of its first attempt its worker is lost; None if none is.
        fails_after: after how many seconds it fails by itself; None if it does not.
    """

    id: str
    kind: Kind
    priority: int
    submitted_at: float
    epochs: int
    stops_early: bool
    epoch_seconds: list[float]
    start: float
    lost_after: float | None
    fails_after: float | None
    started_at: float = math.inf
    first_started_at: float | None = None
    worker: int = -1
    ends_at: float = math.inf
    attempts: int = 0
    used: float = 0.0
    complete: int = 0
    begins_at_epoch: int = 0
    pace: float | None = None
    paced_at: float | None = None
    paced_epochs: int = 0
    epoch_ends: list[float] = field(default_factory=list)

    @property
    def order(self) -> tuple[int, float, str]:
        return -self.priority, self.submitted_at, self.id


@dataclass(frozen=True)
class Guess:
    """What the forecast said at a moment, and what happened."""

    said: Estimate
    truth: float

    @property
    def error(self) -> float:
        """The error, as a share of the time that it then took."""
        return abs(self.said.seconds - self.truth) / max(self.truth, LEAST_SECONDS)

    @property
    def minutes(self) -> float:
        return abs(self.said.seconds - self.truth) / 60


@dataclass(frozen=True)
class Accuracy:
    """How far off guesses were.

    Attributes:
        count: how many guesses there were.
        median_error: the median of the errors, as a share of the time that it then took.
        p90_error: nine of ten errors are smaller.
        median_minutes: the median of the errors, in minutes.
        p90_minutes: nine of ten errors are smaller.
        held: how many of them were not exceeded by more than a tenth: what counts for an upper bound.
    """

    count: int
    median_error: float
    p90_error: float
    median_minutes: float
    p90_minutes: float
    held: float


@dataclass
class Outcome:
    """What a simulation found. `unknown` counts the questions that the forecast could not answer."""

    jobs: int = 0
    running: list[Guess] = field(default_factory=list)
    starts: list[Guess] = field(default_factory=list)
    unknown_running: int = 0
    unknown_starts: int = 0

    def accuracies(self) -> dict[str, Accuracy]:
        """Return the accuracy of each sort of guess: estimates apart from upper bounds."""
        sorts = {"running": self.running, "starts": self.starts}
        parts = {
            f"{name}_{sort}": [guess for guess in guesses if guess.said.is_upper_bound == (sort == "bounds")]
            for name, guesses in sorts.items()
            for sort in ("estimates", "bounds")
        }
        return {name: accuracy(guesses) for name, guesses in parts.items() if len(guesses) > 1}


def accuracy(guesses: Sequence[Guess]) -> Accuracy:
    errors, minutes = [guess.error for guess in guesses], [guess.minutes for guess in guesses]
    held = sum(guess.truth <= 1.1 * guess.said.seconds + LEAST_SECONDS for guess in guesses) / len(guesses)
    return Accuracy(
        len(guesses), median(errors), quantiles(errors, n=10)[-1], median(minutes), quantiles(minutes, n=10)[-1], held
    )


def simulate(days: float, seed: int, ask_every: float = 3600.0) -> Outcome:
    """Simulate so many days, and ask the forecast about all jobs that run or wait, now and then."""
    rng = random.Random(seed)
    arrivals = list(_arrivals(rng, days * DAY))
    return _Simulation(rng, arrivals, ask_every).run()


def _arrivals(rng: random.Random, seconds: float) -> Iterator[Job]:
    kinds = [_kind(rng) for _ in range(40)]
    now, number = 0.0, 0
    while (now := now + rng.expovariate(_rate(now))) < seconds:
        # New kinds come all the time: nothing is known of them.
        if rng.random() < 0.1:
            kinds[rng.randrange(len(kinds))] = _kind(rng)
        kind = kinds[min(int(rng.expovariate(0.15)), len(kinds) - 1)]
        is_search = rng.random() < 0.04
        priority = 10 if not is_search and rng.random() < 0.05 else 0
        for _ in range(rng.randint(8, 30) if is_search else 1):
            number += 1
            yield _job(rng, f"job_{number:06}", kind, priority, now)


def _rate(now: float) -> float:
    """Return how many requests come a second: more in working hours, fewer at night and at weekends."""
    day, hour = int(now // DAY) % 7, now % DAY / 3600
    works = 9 <= hour < 18
    return (10.0 if works else 1.5) * (0.3 if day >= 5 else 1.0) / 3600


def _kind(rng: random.Random) -> Kind:
    pool = rng.choices(list(_POOLS), list(_POOLS.values()))[0]
    seconds = math.exp(rng.gauss(math.log(25.0), 1.0))
    return Kind(
        pool=pool,
        gpus=rng.choice((1, 1, 1, 2, 4)) if pool == "gpu" else 0,
        work=seconds * 1e6 * math.exp(rng.gauss(0.0, 0.7)),
        seconds_per_epoch=seconds,
        start_seconds=rng.uniform(3.0, 40.0),
        validated_every=rng.choice((1, 1, 1, 5)),
    )


def _job(rng: random.Random, id: str, kind: Kind, priority: int, now: float) -> Job:
    epochs = rng.choice((5, 10, 20, 30, 50, 100))
    stops_early = rng.random() < 0.4
    trained = rng.randint(max(1, epochs // 4), epochs) if stops_early and rng.random() < 0.7 else epochs
    pace = kind.seconds_per_epoch * math.exp(rng.gauss(0.0, 0.08))
    seconds = [_epoch_seconds(rng, pace, epoch, kind.validated_every) for epoch in range(trained)]
    total = sum(seconds)
    return Job(
        id=id,
        kind=kind,
        priority=priority,
        submitted_at=now,
        epochs=epochs,
        stops_early=stops_early,
        epoch_seconds=seconds,
        start=kind.start_seconds * math.exp(rng.gauss(0.0, 0.3)),
        lost_after=rng.uniform(0, total) if rng.random() < 0.02 else None,
        fails_after=rng.uniform(0, total) if rng.random() < 0.04 else None,
    )


def _epoch_seconds(rng: random.Random, pace: float, epoch: int, validated_every: int) -> float:
    validation = 0.25 * pace if (epoch + 1) % validated_every == 0 else 0.0
    tracing = rng.uniform(2.0, 10.0) if epoch == 0 else 0.0
    return (0.8 * pace + validation) * math.exp(rng.gauss(0.0, 0.06)) + tracing


class _Simulation:
    def __init__(self, rng: random.Random, arrivals: Sequence[Job], ask_every: float) -> None:
        self._rng = rng
        self._arrivals = list(reversed(arrivals))
        self._ask_every = ask_every
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._known: dict[Kind, tuple[float, float]] = {}
        self._asked: list[tuple[list[Guess], float, Estimate, Job, bool]] = []
        self._outcome = Outcome(jobs=len(arrivals))
        self._ended_at: dict[str, float] = {}
        self._starts: dict[str, list[float]] = {}

    def run(self) -> Outcome:
        now, asks_at = 0.0, self._ask_every
        while self._arrivals or self._waiting or self._running:
            arrives_at = self._arrivals[-1].submitted_at if self._arrivals else math.inf
            ends_at = min((job.ends_at for job in self._running), default=math.inf)
            now = min(arrives_at, ends_at, asks_at)
            if now == asks_at:
                self._ask(now)
                asks_at = now + self._ask_every * self._rng.uniform(0.5, 1.5)
            elif now == ends_at:
                self._end(min(self._running, key=lambda job: job.ends_at), now)
            else:
                self._waiting.append(self._arrivals.pop())
                self._waiting.sort(key=lambda job: job.order)
            self._claim_all(now)
        self._compare()
        return self._outcome

    # --- What happens ----------------------------------------------------------------------------------------------

    def _claim_all(self, now: float) -> None:
        workers = list(range(len(WORKERS)))
        self._rng.shuffle(workers)
        while any(self._claim(index, now) for index in workers):
            pass

    def _claim(self, index: int, now: float) -> bool:
        worker = WORKERS[index]
        if sum(job.worker == index for job in self._running) >= worker.slots:
            return False
        gpus = len(worker.gpus)
        free = gpus - sum(job.kind.gpus for job in self._running if WORKERS[job.worker].gpus == worker.gpus)
        is_reserved = False
        for job in self._waiting:
            needed = job.kind.gpus
            if job.kind.pool in worker.pools and needed <= free and not (needed and is_reserved):
                self._start(job, index, now)
                return True
            waits = now - job.submitted_at >= RESERVATION_SECONDS
            is_reserved |= job.kind.pool in worker.pools and free < needed <= gpus and waits and free > 0
        return False

    def _start(self, job: Job, index: int, now: float) -> None:
        self._waiting.remove(job)
        self._running.append(job)
        self._starts.setdefault(job.id, []).append(now)
        job.worker, job.started_at, job.attempts = index, now, job.attempts + 1
        job.begins_at_epoch, job.paced_at, job.paced_epochs = job.complete, None, 0
        if job.pace is None and (known := self._of_kind(job.kind)) is not None:
            job.pace = known[0]
        at = now + job.start
        job.epoch_ends = [at := at + seconds for seconds in job.epoch_seconds[job.complete :]]
        job.ends_at = at
        for after in (job.lost_after, job.fails_after):
            if after is not None and job.attempts == 1:
                job.ends_at = min(job.ends_at, now + job.start + after)

    def _end(self, job: Job, now: float) -> None:
        self._observe(job, now)
        self._running.remove(job)
        job.used += now - job.started_at
        job.worker = -1
        if now < job.epoch_ends[-1] and (job.fails_after is None or (job.lost_after or math.inf) < job.fails_after):
            self._waiting.append(job)  # the worker was lost: the job is requeued, and resumes after its last epoch
            self._waiting.sort(key=lambda job: job.order)
            return
        self._ended_at[job.id] = now
        if now >= job.epoch_ends[-1] and job.pace is not None:
            self._learn(job)

    def _learn(self, job: Job) -> None:
        pace, start = job.pace or 0.0, start_seconds(job.used, len(job.epoch_seconds), job.pace or 0.0, job.attempts)
        known = self._known.pop(job.kind, None)
        # The newest kind comes last.
        self._known[job.kind] = (pace, start) if known is None else (blended(known[0], pace), blended(known[1], start))

    # --- What the service would know ---------------------------------------------------------------------------------

    def _of_kind(self, kind: Kind) -> tuple[float, float] | None:
        if kind in self._known:
            return self._known[kind]
        others = [other for other in self._known if (other.pool, other.gpus) == (kind.pool, kind.gpus)]
        index = nearest(kind.work, [other.work for other in others])
        return None if index is None else self._known[others[index]]

    def _observe(self, job: Job, now: float) -> None:
        """Take note of the epochs of a running job that have ended."""
        ended = bisect_right(job.epoch_ends, now)
        if now >= job.started_at + job.start and job.paced_at is None:
            job.paced_at = job.started_at + job.start
        for at in job.epoch_ends[job.complete - job.begins_at_epoch : ended]:
            assert job.paced_at is not None
            job.paced_epochs += 1
            job.pace = next_pace(job.pace, job.paced_epochs, at - job.paced_at)
            job.paced_at = at
            job.complete += 1

    def _pace_of_others(self, kind: Kind) -> float | None:
        """Return the pace of jobs of this kind: of those that have ended, else of one that runs."""
        running = (job.pace for job in self._running if job.kind == kind and job.paced_epochs > 1)
        known = self._of_kind(kind)
        return known[0] if kind in self._known and known is not None else next(running, known[0] if known else None)

    def _training(self, job: Job, now: float | None) -> Training:
        pace = job.pace if job.pace is not None else self._pace_of_others(job.kind)
        seconds = now - job.paced_at if now is not None and job.paced_at is not None else None
        share = 0.0
        if seconds is not None and job.complete < len(job.epoch_seconds):
            share = min(0.99, seconds / (0.85 * job.epoch_seconds[job.complete]))  # the steps, without the validation
        return Training(job.epochs, job.complete, share, pace, seconds, None, job.stops_early)

    def _ask(self, now: float) -> None:
        left = {}
        for job in self._running:
            self._observe(job, now)
            left[job.id] = time_left(self._training(job, now))
            self._note(self._outcome.running, now, left[job.id], job, is_start=False)
        running = [RunningJob(job.worker, job.kind.gpus, left[job.id]) for job in self._running]
        runs = schedule(WORKERS, running, [self._waiting_job(job, now) for job in self._waiting])
        for job in self._waiting:
            run = runs.get(job.id)
            self._note(self._outcome.starts, now, run.starts if run is not None else None, job, is_start=True)

    def _waiting_job(self, job: Job, now: float) -> WaitingJob:
        known = self._of_kind(job.kind)
        takes = whole_time(self._training(job, None), known[1] if known is not None else 0.0)
        return WaitingJob(job.id, job.kind.pool, job.kind.gpus, takes, waited=now - job.submitted_at)

    def _note(self, guesses: list[Guess], now: float, said: Estimate | None, job: Job, *, is_start: bool) -> None:
        if said is not None:
            self._asked.append((guesses, now, said, job, is_start))
        elif is_start:
            self._outcome.unknown_starts += 1
        else:
            self._outcome.unknown_running += 1

    def _compare(self) -> None:
        for guesses, now, said, job, is_start in self._asked:
            at = next(at for at in self._starts[job.id] if at >= now) if is_start else self._ended_at[job.id]
            guesses.append(Guess(said, at - now))
