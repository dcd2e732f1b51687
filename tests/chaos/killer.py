"""A seeded killer: at random moments it kills, freezes, fills or rings something, and mends it.

Its moves come from a shuffled deck, so that each kind happens as often as the deck has it. The seed decides on the
order, the pauses and the victims; when things happen is the machine's doing.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Final

import psutil
import redis

from service.queue import Notifier, queue_name
from tests.chaos import fairness
from tests.chaos.cluster import Cluster
from tests.chaos.programs import Program, WorkerProgram, is_alive

DECK: Final[Mapping[str, int]] = {
    "child": 12,
    "worker": 2,
    "fork_server": 2,
    "api": 2,
    "redis": 3,
    "postgres": 3,
    "zombie": 3,
    "disk": 2,
    "bells dropped": 3,
    "bells doubled": 3,
}
"""How often each kind of move comes. A worker or a nursery costs ten seconds of processor time to start again."""

REDIS_SECONDS: Final = 3.0
NURSERY_SECONDS: Final = 20.0
"""Within which a nursery that was started anew is ready, on a busy machine."""

FAIR_SECONDS: Final = 12.0
"""How long to look for somebody who may be hit."""


@dataclass(frozen=True)
class Hit:
    """A job that lost its process, or its worker, by a move."""

    kind: str
    job_id: str
    attempt: int
    at: datetime


@dataclass(frozen=True)
class Pace:
    """How fast the killer goes on: with the jobs, so that a slow machine comes to its end as well as a fast one."""

    pause_seconds: tuple[float, float] = (0.3, 2.0)
    """Between two moves."""
    moves_per_job: float = 1.0
    """For each job that has ended."""
    head_start: int = 8
    """Moves before any has."""


PACE: Final = Pace()


@dataclass
class Figures:
    moves: Counter[str] = field(default_factory=Counter)
    spared: Counter[str] = field(default_factory=Counter)
    """Moves that found nobody who may be hit."""
    hits: list[Hit] = field(default_factory=list)


class Killer:
    """A context manager: it kills from a thread while the block runs; at its end everything runs again."""

    def __init__(
        self,
        cluster: Cluster,
        seed: int,
        *,
        lease_seconds: float,
        pace: Pace,
        deck: Mapping[str, int] = DECK,
    ) -> None:
        self.figures = Figures()
        self.error: BaseException | None = None
        self._cluster = cluster
        self._random = random.Random(seed)
        self._lease_seconds = lease_seconds
        self._pace = pace
        self._deck = dict(deck)
        if not cluster.disk.can_be_filled:
            self._deck.pop("disk", None)
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="killer")
        self._moves: dict[str, Callable[[], bool]] = {
            "child": self._kill_child,
            "worker": self._kill_worker,
            "fork_server": self._kill_nursery,
            "api": self._kill_api,
            "redis": self._kill_redis,
            "postgres": self._kill_postgres,
            "zombie": self._make_zombie,
            "disk": self._fill_disk,
            "bells dropped": self._drop_bells,
            "bells doubled": self._double_bells,
        }

    @property
    def deck(self) -> Mapping[str, int]:
        return self._deck

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Can be called again."""
        self._stopping.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    # --- when ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            for kind in self._drawn():
                self._pass(self._random.uniform(*self._pace.pause_seconds))
                while not (self._stopping.is_set() or self._is_due()):
                    self._pass(0.2)
                if self._stopping.is_set():
                    break
                self._do(kind)
        except BaseException as error:
            self.error = error
        finally:
            for _, act in sorted(self._later, key=lambda each: each[0]):
                act()

    def _is_due(self) -> bool:
        ended = fairness.ended(self._cluster.database)
        return sum(self.figures.moves.values()) < self._pace.head_start + self._pace.moves_per_job * ended

    def _drawn(self) -> Iterator[str]:
        while True:
            deck = [kind for kind, count in self._deck.items() for _ in range(count)]
            self._random.shuffle(deck)
            yield from deck

    def _pass(self, seconds: float) -> None:
        """Wait, and do meanwhile what was to be done later."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
            due = [each for each in self._later if each[0] <= time.monotonic()]
            self._later = [each for each in self._later if each not in due]
            for _, act in due:
                act()
            self._stopping.wait(min(left, 0.1))

    def _do(self, kind: str) -> None:
        """Try until somebody is found who may be hit."""
        until = time.monotonic() + FAIR_SECONDS
        while not self._moves[kind]():
            if time.monotonic() > until or self._stopping.is_set():
                self.figures.spared[kind] += 1
                return
            self._pass(0.2)
        self.figures.moves[kind] += 1

    def _do_later(self, seconds: float, act: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, act))

    def _note(self, what: str) -> None:
        with (self._cluster.logs / "killer.log").open("a") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {what}\n")

    # --- whom ---------------------------------------------------------------------------------------------------

    def _workers(self, *, training: bool) -> list[WorkerProgram]:
        """Those that are ready and not frozen, in an order that the seed decides on."""
        found = [worker for worker in self._cluster.workers if not worker.frozen and worker.id is not None]
        if training:
            found = [worker for worker in found if worker.children()]
        return self._random.sample(found, len(found))

    @contextmanager
    def _held_still(self, process: psutil.Process | Program, worker: WorkerProgram) -> Iterator[bool]:
        """Whether this worker's jobs may be hit; while we look and act the process does not go on."""
        freeze, thaw = _signals_of(process)
        freeze()
        try:
            yield fairness.may_lose(self._cluster.database, worker.id or "")
        finally:
            thaw()

    def _hit(self, kind: str, worker: WorkerProgram) -> None:
        job = fairness.job_of(self._cluster.database, worker.id or "")
        if job is not None:
            self.figures.hits.append(Hit(kind, *job, datetime.now(UTC)))
        self._note(f"{kind}: {worker.name} {worker.id}, which trained {job}")

    # --- what ---------------------------------------------------------------------------------------------------

    def _kill_child(self) -> bool:
        for worker in self._workers(training=True):
            for child in worker.children():
                with suppress(psutil.NoSuchProcess), self._held_still(child, worker) as may_be_hit:
                    if may_be_hit and is_alive(child):
                        self._hit("child", worker)
                        child.kill()
                        return True
        return False

    def _kill_worker(self) -> bool:
        for worker in self._workers(training=True):
            with self._held_still(worker, worker) as may_be_hit:
                if may_be_hit:
                    self._hit("worker", worker)
                    self._random.choice([worker.kill, worker.kill_all])()
            if may_be_hit:
                worker.start()
                return True
        return False

    def _kill_nursery(self) -> bool:
        """One at a time: a worker holds the next job for as long as TensorFlow is imported, and may lose it."""
        found = [(worker, worker.fork_server()) for worker in self._workers(training=False)]
        if not all(_is_settled(fork_server) for _, fork_server in found):
            return False
        for worker, fork_server in found:
            if fork_server is None:
                continue
            with suppress(psutil.NoSuchProcess), self._held_still(fork_server, worker) as may_be_hit:
                if may_be_hit:
                    self._note(f"nursery: {worker.name} {worker.id}")
                    fork_server.kill()
                    return True
        return False

    def _kill_api(self) -> bool:
        api = self._cluster.api
        if not api.is_running:
            return False
        whole = self._random.random() < 0.5
        self._note(f"api: {'all of it' if whole else 'the process that serves'}")
        if whole:
            api.kill_all()
            api.start()
        else:
            for process in api.descendants()[:1]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        return True

    def _kill_redis(self) -> bool:
        """It loses all bells. Or it is frozen: then whoever asks it waits for an answer."""
        program = self._cluster.redis
        if not program.is_running or program.frozen:
            return False
        how = self._random.choice(["restarted", "gone", "frozen"])
        self._note(f"redis: {how}")
        if how == "frozen":
            program.freeze()
            self._do_later(REDIS_SECONDS, program.thaw)
        else:
            program.kill_all()
            self._do_later(0.0 if how == "restarted" else REDIS_SECONDS, program.start)
        return True

    def _kill_postgres(self) -> bool:
        if not fairness.all_may_lose(self._cluster.database, seconds=0.0):
            return False
        self._note("postgres")
        self._cluster.postgres.kill()
        self._cluster.postgres.start()
        self._note("postgres is back")
        return True

    def _make_zombie(self) -> bool:
        """A worker that is frozen past its lease and goes on as if nothing had happened; sometimes with its child."""
        for worker in self._workers(training=True):
            worker.freeze()
            if not fairness.may_lose(self._cluster.database, worker.id or ""):
                worker.thaw()
                continue
            others = worker.descendants() if self._random.random() < 0.5 else []
            for process in others:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            self._hit("zombie", worker)
            seconds = self._lease_seconds + self._random.uniform(1.0, 4.0)
            self._do_later(seconds, lambda worker=worker, others=others: self._wake(worker, others))  # type: ignore[misc]
            return True
        return False

    def _wake(self, worker: WorkerProgram, others: list[psutil.Process]) -> None:
        self._note(f"zombie: {worker.name} wakes")
        for process in others:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        worker.thaw()

    def _fill_disk(self) -> bool:
        seconds = self._random.uniform(0.3, 1.0)
        if not fairness.all_may_lose(self._cluster.database, seconds + 1.0):
            return False
        self._note(f"disk: full for {seconds:.2f} s")
        self._cluster.disk.fill()
        Event().wait(seconds)
        self._cluster.disk.free()
        return True

    def _drop_bells(self) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self._cluster.redis_url, socket_timeout=2) as bells:
            self._note(f"bells dropped: {bells.delete(queue_name('default'))}")
            return True
        return False

    def _double_bells(self) -> bool:
        count = self._random.randint(1, 20)
        notifier = Notifier(self._cluster.redis_url)
        self._note(f"bells doubled: {count}")
        return all(notifier.notify("default") for _ in range(count))


def _is_settled(fork_server: psutil.Process | None) -> bool:
    with suppress(psutil.NoSuchProcess):
        return fork_server is not None and time.time() - fork_server.create_time() > NURSERY_SECONDS
    return False


def _signals_of(process: psutil.Process | Program) -> tuple[Callable[[], None], Callable[[], None]]:
    if isinstance(process, Program):
        return process.freeze, process.thaw

    def thaw() -> None:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)

    return process.suspend, thaw
