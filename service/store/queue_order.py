"""The whole queue in the order of claims, where jobs of several accounts wait.

Who waits alone, goes by age, and the database counts the jobs before him. Otherwise the queue is played through: each
claim raises what its account has used, so the jobs of several accounts go in turns.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from threading import Lock
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from service import clock
from service.forecast.turns import Standing, TurnsBy, in_order
from service.models import Job
from service.store import claim_order, turns

_SECONDS: Final = 1.0
"""How long the order is kept at least."""

_COST_RATIO: Final = 50.0
"""How often the time that it takes to make fits in the time that it is kept: it costs at most 2 % of a processor."""


@dataclass(frozen=True)
class Place:
    """A queued job, and where it is in the queue of its pool.

    Attributes:
        score: the score of its account when it is claimed.
        position: 1 is the next job of its pool.
        overtaking: how many jobs of others go before it by their turn; 0 if all of these are older than it.
    """

    id: str
    pool: str
    preemptible: bool
    priority: int
    account: str
    score: int
    position: int
    overtaking: int

    @property
    def key(self) -> tuple[str, bool, int, int, str]:
        return self.pool, self.preemptible, -self.priority, self.score, self.id


@dataclass(frozen=True)
class QueueOrder:
    """The places of all queued jobs, in the order of claims, one pool after the other."""

    places: Mapping[str, Place]
    standings: Mapping[str, Standing]

    def share_of_use(self, account: str) -> float:
        """Return which part of all that was used of late is this account's."""
        total = sum(standing.used for standing in self.standings.values())
        return self.standings.get(account, Standing()).used / total if total else 0.0


class QueueOrders:
    """Reads the order of the queue, at most about once a second. Thread-safe."""

    def __init__(self, by: TurnsBy = TurnsBy.USER, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.by = by
        self._monotonic = monotonic
        self._lock = Lock()
        self._kept: QueueOrder | None = None
        self._expires_at = 0.0

    def read(self, session: Session, job_ids: Collection[str] = ()) -> QueueOrder | None:
        """Return the order with these jobs in it, if they are queued; None if jobs go by age alone."""
        if not is_contested(session, self.by):
            return None
        with self._lock:
            kept = self._kept
            if kept is None or self._monotonic() >= self._expires_at or any(id not in kept.places for id in job_ids):
                began = self._monotonic()
                self._kept = kept = read(session, self.by)
                self._expires_at = began + max(_SECONDS, _COST_RATIO * (self._monotonic() - began))
            return kept


def is_contested(session: Session, by: TurnsBy) -> bool:
    """Tell whether jobs of several accounts wait in a pool."""
    pools: dict[str, set[str]] = {}
    for pool, account in session.execute(claim_order.WAITING[by, session.get_bind().dialect.name]):
        pools.setdefault(pool, set()).add(account)
    return any(len(accounts) > 1 for accounts in pools.values())


def read(session: Session, by: TurnsBy) -> QueueOrder:
    """Play the queue through."""
    account = turns.account_column(by).label("account")
    columns = Job.id, Job.pool, account, Job.preemptible, Job.priority, Job.gpus
    query = select(*columns, turns.seconds_left().label("seconds_left")).where(*claim_order.BY_AGE)
    rows = session.execute(query.order_by(Job.pool, Job.preemptible, Job.priority.desc(), Job.id)).all()
    rows = sorted(rows, key=lambda row: row.pool)  # databases order text by their locale
    standings = turns.read(session, by, None, clock.now(session))
    places = [
        place for _, of_pool in groupby(rows, key=lambda row: row.pool) for place in _places(list(of_pool), standings)
    ]
    return QueueOrder({place.id: place for place in places}, standings)


def _places(rows: list[Any], standings: Mapping[str, Standing]) -> Iterator[Place]:
    """Yield the places in one pool. The ids of jobs grow with the time at which they were submitted."""
    level, newest, before = None, dict[str, str](), dict[str, int]()
    for index, (score, row) in enumerate(in_order(rows, standings)):
        if level != (row.preemptible, row.priority):
            level, newest, before = (row.preemptible, row.priority), {}, {}
        others = sum(before.values()) - before.get(row.account, 0)
        is_overtaken = any(id > row.id for account, id in newest.items() if account != row.account)
        yield Place(
            row.id,
            row.pool,
            row.preemptible,
            row.priority,
            row.account,
            score,
            index + 1,
            others if is_overtaken else 0,
        )
        newest[row.account] = max(row.id, newest.get(row.account, ""))
        before[row.account] = before.get(row.account, 0) + 1
