"""What was counted of jobs and outlives them: how long things took, and why jobs ended.

Prometheus expects counts that only grow, and jobs can be deleted: so each count has a row of its own, which grows in
the transaction that it counts. Such a row is shared by all jobs of a pool: whoever writes it does so last.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fitqueue.states import Reason
from service.models import Counter

ENDED: Final = "ended"


class Duration(StrEnum):
    """What is measured, in seconds."""

    CLAIM_LATENCY = "claim_latency"
    START_UP = "start_up"
    EPOCH = "epoch"


BOUNDS: Final[Mapping[Duration, tuple[float, ...]]] = {
    Duration.CLAIM_LATENCY: (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400),
    Duration.START_UP: (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    Duration.EPOCH: (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400),
}
"""The buckets' upper bounds. Other ones may be chosen: what was counted before goes into the next larger of them."""

_INFINITE: Final = "+Inf"


@dataclass
class Histogram:
    """`counts` by the bounds of its kind, each with all that are smaller, and last those of any size."""

    counts: list[int]
    total: float = 0.0


@dataclass
class Counters:
    """All that was counted: histograms by what is measured and by pool, ends by their reason."""

    histograms: dict[Duration, dict[str, Histogram]] = field(default_factory=lambda: defaultdict(dict))
    ended: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in Reason})


def observe(session: Session, duration: Duration, pool: str, seconds: float) -> None:
    bounds = BOUNDS[duration]
    place = bisect_left(bounds, seconds)
    _add(session, duration, pool, _INFINITE if place == len(bounds) else str(bounds[place]), seconds)


def count_end(session: Session, reason: Reason) -> None:
    # Without the pool: anybody may name one, and a job that is cancelled in it would make a row for ever.
    _add(session, ENDED, "", reason.value, 0.0)


def read(session: Session) -> Counters:
    found = Counters()
    for row in session.scalars(select(Counter)):
        if row.name == ENDED:
            found.ended[row.bucket] = row.count
        else:
            _add_to(found.histograms[Duration(row.name)], Duration(row.name), row)
    return found


def empty(duration: Duration) -> Histogram:
    return Histogram([0] * (len(BOUNDS[duration]) + 1))


def _add_to(histograms: dict[str, Histogram], duration: Duration, row: Counter) -> None:
    histogram = histograms.setdefault(row.pool, empty(duration))
    histogram.total += row.total
    for place in range(bisect_left(BOUNDS[duration], float(row.bucket)), len(histogram.counts)):
        histogram.counts[place] += row.count


def _add(session: Session, name: str, pool: str, bucket: str, seconds: float) -> None:
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = insert(Counter).values(name=name, pool=pool, bucket=bucket, count=1, total=seconds)
    grown = {"count": Counter.count + 1, "total": Counter.total + seconds}
    session.execute(row.on_conflict_do_update(index_elements=[Counter.name, Counter.pool, Counter.bucket], set_=grown))
