"""Whose turn it is: jobs of equal priority go by what their users, or projects, have used of late.

An account is a user or a project. What it has used counts half as much after two days, and is divided by its share of
the devices. Its score is the quotient: the job of the account with the lowest score goes first, and of equal scores the
oldest job.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final, Protocol, TypeVar

HALF_LIFE_SECONDS: Final = 2 * 86_400.0

DEFAULT_SECONDS: Final = 600.0
"""How long a job counts when it is claimed, if nothing is known of it, nor of others of its account."""

MAX_SCORE: Final = 1e18
"""So that the smallest of shares gives a number that a cursor can hold."""


class TurnsBy(StrEnum):
    """What an account is."""

    USER = "user"
    PROJECT = "project"


@dataclass(frozen=True)
class Standing:
    """What an account has used of late, in GPU-seconds, and its share.

    `mean_seconds` is how long its latest jobs took; None if none has ended.
    """

    used: float = 0.0
    share: float = 1.0
    mean_seconds: float | None = None
    name: str = ""

    @property
    def score(self) -> int:
        return score(self.used, self.share)


class QueuedJob(Protocol):
    """What the order of claims depends on."""

    @property
    def id(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def preemptible(self) -> bool: ...
    @property
    def gpus(self) -> int: ...
    @property
    def seconds_left(self) -> float | None: ...


Queued = TypeVar("Queued", bound=QueuedJob)


def score(used: float, share: float) -> int:
    """Return the score of an account, in whole seconds: what was charged in the same moment counts the same."""
    return round(min(used / share, MAX_SCORE))


def decay(seconds: float) -> float:
    """Return how much of a use counts after some time. A clock that goes back makes nothing more of it."""
    return float(0.5 ** (max(seconds, 0.0) / HALF_LIFE_SECONDS))


def weight(gpus: int) -> int:
    """Return what a second of a job counts: one for each GPU, or one for the slot of a job without GPUs."""
    return max(1, gpus)


def charge(job: QueuedJob, standing: Standing) -> float:
    """Return what a job counts when it is claimed. `service/store/turns.py` has the same in SQL."""
    known = job.seconds_left if job.seconds_left is not None else standing.mean_seconds
    return weight(job.gpus) * (DEFAULT_SECONDS if known is None else known)


def in_order(jobs: Sequence[Queued], standings: Mapping[str, Standing]) -> Iterator[tuple[int, Queued]]:
    """Yield the jobs of one pool in the order of claims, each with the score of its account when it is claimed.

    Each claim raises the score of its account, as it does at a real one.

    Args:
        jobs: the jobs, sorted by `level`, and then by age.
        standings: those of their accounts. One that is missing has used nothing.
    """
    claimed: dict[str, float] = {}
    for _, of_level in groupby(jobs, key=level):
        queues: dict[str, list[Queued]] = {}
        for job in of_level:
            queues.setdefault(job.account, []).append(job)
        yield from _merged(queues, standings, claimed)


def level(job: QueuedJob) -> tuple[bool, int]:
    """Return what comes before the turns: jobs that are not preemptible go first, and then higher priorities."""
    return job.preemptible, -job.priority


def _merged(
    queues: Mapping[str, Sequence[Queued]], standings: Mapping[str, Standing], claimed: dict[str, float]
) -> Iterator[tuple[int, Queued]]:
    """Yield jobs of equal priority. `claimed`, the charges until now by account, grows with them."""
    unknown = Standing()

    def score_of(account: str) -> int:
        standing = standings.get(account, unknown)
        return score(standing.used + claimed.get(account, 0.0), standing.share)

    heap = [(score_of(account), jobs[0].id, account, 0) for account, jobs in queues.items()]
    heapq.heapify(heap)
    while heap:
        at, _, account, index = heap[0]
        jobs = queues[account]
        yield at, jobs[index]
        claimed[account] = claimed.get(account, 0.0) + charge(jobs[index], standings.get(account, unknown))
        if index + 1 < len(jobs):
            heapq.heapreplace(heap, (score_of(account), jobs[index + 1].id, account, index + 1))
        else:
            heapq.heappop(heap)
