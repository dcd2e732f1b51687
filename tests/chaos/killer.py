"""A seeded killer: at random moments it makes a move against the cluster, and repairs what must be repaired.

The kinds of moves come from a shuffled deck, so that each of them happens as often as it is in the deck. The seed
determines the order, the pauses and the victims. When the moves happen depends on the machine as well.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Final

from tests.chaos import fairness, storage_moves
from tests.chaos.cluster import Cluster
from tests.chaos.moves import Hit, Moves
from tests.chaos.repairs import Repairs

DECK: Final[Mapping[str, int]] = {
    "child": 12,
    "worker": 2,
    "fork server": 2,
    "api": 2,
    "redis": 3,
    "postgres": 3,
    "frozen worker": 3,
    "disk": 2,
    "storage gone": 1,
    "storage full": 1,
    "storage read-only": 1,
    "hanging file": 2,
    "notifications dropped": 3,
    "notifications doubled": 3,
}
"""How often each kind of move is in the deck. To start a worker or a fork server takes ten seconds of a processor."""

SEARCH_SECONDS: Final = 12.0
"""How long a move looks for a victim that may be hit."""


@dataclass(frozen=True)
class Pace:
    """How fast the moves follow each other. They keep up with the jobs, so that slow machines finish, too."""

    delay_seconds: tuple[float, float] = (0.3, 2.0)
    """The shortest and the longest pause between two moves."""
    moves_per_job: float = 1.0
    """Moves for each job that has ended."""
    head_start: int = 8
    """Moves before the first job has ended."""


PACE: Final = Pace()


@dataclass
class Counts:
    """What the killer did."""

    moves: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    """Moves that found no victim."""
    hits: list[Hit] = field(default_factory=list)


class Killer:
    """A context manager that makes moves in a thread while its block runs. At its end everything runs again."""

    def __init__(
        self,
        cluster: Cluster,
        seed: int,
        *,
        lease_seconds: float,
        pace: Pace,
        deck: Mapping[str, int] = DECK,
    ) -> None:
        """Prepare the killer.

        Args:
            lease_seconds: the lease of the cluster's jobs; a frozen worker is frozen for longer.
            deck: how often each kind of move comes.
        """
        self.counts = Counts()
        impossible = set() if cluster.disk.can_be_filled else {"disk"}
        impossible |= set() if cluster.storage_disk.can_fail else storage_moves.KINDS
        self.deck = {kind: count for kind, count in deck.items() if kind not in impossible}
        self._cluster = cluster
        self._rng = random.Random(seed)
        self._pace = pace
        self._repairs = Repairs()
        self._moves = Moves(cluster, self._rng, self._repairs, self.counts.hits, lease_seconds)
        self._error: BaseException | None = None
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="killer")

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for kind in self._drawn_kinds():
                self._wait(self._rng.uniform(*self._pace.delay_seconds))
                while not (self._stopping.is_set() or self._is_due()):
                    self._wait(0.2)
                if self._stopping.is_set():
                    break
                self._make_move(kind)
        except BaseException as error:
            self._error = error
        finally:
            self._repairs.make_all()

    def _drawn_kinds(self) -> Iterator[str]:
        while True:
            kinds = [kind for kind, count in self.deck.items() for _ in range(count)]
            self._rng.shuffle(kinds)
            yield from kinds

    def _is_due(self) -> bool:
        ended_jobs = fairness.count_ended(self._cluster.database)
        return sum(self.counts.moves.values()) < self._pace.head_start + self._pace.moves_per_job * ended_jobs

    def _make_move(self, kind: str) -> None:
        """Try until a victim is found that may be hit."""
        deadline = time.monotonic() + SEARCH_SECONDS
        while not self._moves.make(kind):
            if time.monotonic() > deadline or self._stopping.is_set():
                self.counts.skipped[kind] += 1
                return
            self._wait(0.2)
        self.counts.moves[kind] += 1

    def _wait(self, seconds: float) -> None:
        """Wait, and make the repairs that are due in the meantime."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._stopping.is_set():
            self._repairs.make_due()
            self._stopping.wait(min(left, 0.1))
