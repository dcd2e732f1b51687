"""The moves of the killer. Each of them kills, freezes, fills or floods one thing."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import Final

import psutil
import redis

from service.queue import Notifier, queue_name
from tests.chaos import fairness
from tests.chaos.cluster import Cluster
from tests.chaos.programs import Program, WorkerProgram, is_alive
from tests.chaos.repairs import Repairs
from tests.chaos.storage_moves import StorageMoves

REDIS_SECONDS: Final = 3.0
"""How long Redis is down or frozen."""

FORK_SERVER_SECONDS: Final = 20.0
"""How long a new fork server takes to become ready on a busy machine."""


@dataclass(frozen=True)
class Hit:
    """An attempt whose training process or worker was hit by a move."""

    kind: str
    job_id: str
    attempt: int
    at: datetime


class Moves:
    """Makes moves against a cluster. What it does is in the log `killer.log`."""

    def __init__(
        self, cluster: Cluster, rng: random.Random, repairs: Repairs, hits: list[Hit], lease_seconds: float
    ) -> None:
        """Prepare the moves.

        Args:
            rng: chooses the victims.
            repairs: gets what must be repaired later.
            hits: the list to which each hit is added.
            lease_seconds: the lease of the cluster's jobs.
        """
        self._cluster = cluster
        self._rng = rng
        self._repairs = repairs
        self._hits = hits
        self._lease_seconds = lease_seconds
        self._moves: dict[str, Callable[[], bool]] = {
            "child": self._kill_child,
            "worker": self._kill_worker,
            "fork server": self._kill_fork_server,
            "api": self._kill_api,
            "redis": self._kill_redis,
            "postgres": self._kill_postgres,
            "frozen worker": self._freeze_worker,
            "disk": self._fill_disk,
            "notifications dropped": self._drop_notifications,
            "notifications doubled": self._double_notifications,
            **StorageMoves(cluster, rng, repairs, self._log).by_kind,
        }

    def make(self, kind: str) -> bool:
        """Make a move of this kind. Return False if there is no victim that may be hit."""
        return self._moves[kind]()

    # --- Training processes, workers and fork servers -----------------------------------------------------------

    def _kill_child(self) -> bool:
        for worker in self._training_workers():
            for child in worker.training_processes():
                with suppress(psutil.NoSuchProcess), self._frozen(child, worker) as may_be_hit:
                    if may_be_hit and is_alive(child):
                        self._record_hit("child", worker)
                        child.kill()
                        return True
        return False

    def _kill_worker(self) -> bool:
        for worker in self._training_workers():
            with self._frozen(worker, worker) as may_be_hit:
                if may_be_hit:
                    self._record_hit("worker", worker)
                    self._rng.choice([worker.kill, worker.kill_all])()
            if may_be_hit:
                worker.start()
                return True
        return False

    def _kill_fork_server(self) -> bool:
        """Kill one fork server, if all are ready.

        A worker claims its next job although its new fork server has not imported TensorFlow yet, and the job may be
        hit for as long as that takes.
        """
        candidates = [(worker, worker.fork_server()) for worker in self._ready_workers()]
        if not all(_has_started(fork_server) for _, fork_server in candidates):
            return False
        for worker, fork_server in candidates:
            if fork_server is None:
                continue
            with suppress(psutil.NoSuchProcess), self._frozen(fork_server, worker) as may_be_hit:
                if may_be_hit:
                    self._log(f"fork server: {worker.name} {worker.id}")
                    fork_server.kill()
                    return True
        return False

    def _freeze_worker(self) -> bool:
        """Freeze a worker for longer than its lease; then it goes on as if nothing had happened.

        In half of the cases its child is frozen, too.
        """
        for worker in self._training_workers():
            worker.freeze()
            if not fairness.may_be_hit(self._cluster.database, worker.id or ""):
                worker.thaw()
                continue
            descendants = worker.descendants() if self._rng.random() < 0.5 else []
            for process in descendants:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            self._record_hit("frozen worker", worker)
            seconds = self._lease_seconds + self._rng.uniform(1.0, 4.0)
            self._repairs.add(seconds, partial(self._thaw_worker, worker, descendants))
            return True
        return False

    def _thaw_worker(self, worker: WorkerProgram, descendants: list[psutil.Process]) -> None:
        self._log(f"frozen worker: {worker.name} is thawed")
        for process in descendants:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        worker.thaw()

    # --- The API, Redis, PostgreSQL and the disk ----------------------------------------------------------------

    def _kill_api(self) -> bool:
        api = self._cluster.api
        if not api.is_running:
            return False
        is_whole = self._rng.random() < 0.5
        self._log(f"api: {'all of its processes' if is_whole else 'the process that answers requests'}")
        if is_whole:
            api.kill_all()
            api.start()
        else:
            for process in api.descendants()[:1]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        return True

    def _kill_redis(self) -> bool:
        """Kill Redis, so that it loses all notifications, or freeze it, so that its clients wait for an answer."""
        server = self._cluster.redis
        if not server.is_running or server.is_frozen:
            return False
        how = self._rng.choice(["restarted", "down", "frozen"])
        self._log(f"redis: {how}")
        if how == "frozen":
            server.freeze()
            self._repairs.add(REDIS_SECONDS, server.thaw)
        else:
            server.kill_all()
            self._repairs.add(0.0 if how == "restarted" else REDIS_SECONDS, server.start)
        return True

    def _kill_postgres(self) -> bool:
        if not fairness.all_may_be_hit(self._cluster.database, seconds=0.0):
            return False
        self._log("postgres: killed")
        self._cluster.postgres.kill()
        self._cluster.postgres.start()
        self._log("postgres: started again")
        return True

    def _fill_disk(self) -> bool:
        seconds = self._rng.uniform(0.3, 1.0)
        if not fairness.all_may_be_hit(self._cluster.database, seconds + 1.0):
            return False
        self._log(f"disk: full for {seconds:.2f} s")
        self._cluster.disk.fill()
        Event().wait(seconds)
        self._cluster.disk.free()
        return True

    # --- Notifications ------------------------------------------------------------------------------------------

    def _drop_notifications(self) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self._cluster.redis_url, socket_timeout=2) as client:
            self._log(f"notifications dropped: {client.delete(queue_name('default'))}")
            return True
        return False

    def _double_notifications(self) -> bool:
        count = self._rng.randint(1, 20)
        notifier = Notifier(self._cluster.redis_url)
        self._log(f"notifications doubled: {count}")
        return all(notifier.notify("default") for _ in range(count))

    # --- Victims ------------------------------------------------------------------------------------------------

    def _ready_workers(self) -> list[WorkerProgram]:
        """Return the workers that are ready and not frozen, in random order."""
        workers = [worker for worker in self._cluster.workers if not worker.is_frozen and worker.id is not None]
        return self._rng.sample(workers, len(workers))

    def _training_workers(self) -> list[WorkerProgram]:
        return [worker for worker in self._ready_workers() if worker.training_processes()]

    @contextmanager
    def _frozen(self, process: psutil.Process | Program, worker: WorkerProgram) -> Iterator[bool]:
        """Freeze a process inside the block, so that nothing changes there. Yield whether the worker's jobs may be hit.

        Raises:
            psutil.NoSuchProcess: the process is gone.
        """
        freeze, thaw = _freeze_and_thaw(process)
        freeze()
        try:
            yield fairness.may_be_hit(self._cluster.database, worker.id or "")
        finally:
            thaw()

    def _record_hit(self, kind: str, worker: WorkerProgram) -> None:
        attempt = fairness.running_attempt(self._cluster.database, worker.id or "")
        if attempt is not None:
            self._hits.append(Hit(kind, *attempt, datetime.now(UTC)))
        self._log(f"{kind}: {worker.name} {worker.id}, which runs {attempt}")

    def _log(self, text: str) -> None:
        with (self._cluster.logs / "killer.log").open("a") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {text}\n")


def _has_started(fork_server: psutil.Process | None) -> bool:
    with suppress(psutil.NoSuchProcess):
        return fork_server is not None and time.time() - fork_server.create_time() > FORK_SERVER_SECONDS
    return False


def _freeze_and_thaw(process: psutil.Process | Program) -> tuple[Callable[[], None], Callable[[], None]]:
    if isinstance(process, Program):
        return process.freeze, process.thaw

    def thaw() -> None:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)

    return process.suspend, thaw
