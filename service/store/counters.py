"""Counts that outlive the jobs: how long things took, and why jobs ended.

Prometheus expects counts that only grow, and jobs can be deleted. So each count has a row of its own, which grows in
the transaction that it counts. All jobs of a pool share such a row, so a transaction writes it last.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fitqueue.states import Reason
from service.models import Counter
from service.store import shared_rows

ENDED: Final = "ended"


class Duration(StrEnum):
    """A duration that is measured, in seconds."""

    CLAIM_LATENCY = "claim_latency"
    START_UP = "start_up"
    EPOCH = "epoch"


BUCKET_BOUNDS: Final[Mapping[Duration, tuple[float, ...]]] = {
    Duration.CLAIM_LATENCY: (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400),
    Duration.START_UP: (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    Duration.EPOCH: (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400),
}
"""Upper bounds of the histogram buckets. They may be changed: older counts then go into the next larger bucket."""

_INFINITE: Final = "+Inf"


@dataclass
class Histogram:
    """A cumulative histogram: `counts` for each bound of its duration, and last for everything."""

    counts: list[int]
    total: float = 0.0


@dataclass
class Counters:
    """All counts: a histogram for each duration and pool, and the number of ended jobs for each reason."""

    histograms: dict[Duration, dict[str, Histogram]] = field(default_factory=lambda: defaultdict(dict))
    ended: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in Reason})


def observe(session: Session, duration: Duration, pool: str, seconds: float) -> None:
    bounds = BUCKET_BOUNDS[duration]
    index = bisect_left(bounds, seconds)
    _add(session, duration, pool, _INFINITE if index == len(bounds) else str(bounds[index]), seconds)


def count_end(session: Session, reason: Reason) -> None:
    # Without the pool: anybody may name one, and a job that is cancelled in it would leave a row for ever.
    _add(session, ENDED, "", reason.value, 0.0)


def read(session: Session) -> Counters:
    counters = Counters()
    for row in session.scalars(select(Counter)):
        if row.name == ENDED:
            counters.ended[row.bucket] = row.count
        else:
            _add_to(counters.histograms[Duration(row.name)], Duration(row.name), row)
    return counters


def empty_histogram(duration: Duration) -> Histogram:
    return Histogram([0] * (len(BUCKET_BOUNDS[duration]) + 1))


def _add_to(histograms: dict[str, Histogram], duration: Duration, row: Counter) -> None:
    histogram = histograms.setdefault(row.pool, empty_histogram(duration))
    histogram.total += row.total
    for index in range(bisect_left(BUCKET_BOUNDS[duration], float(row.bucket)), len(histogram.counts)):
        histogram.counts[index] += row.count


def _add(session: Session, name: str, pool: str, bucket: str, seconds: float) -> None:
    shared_rows.add(session, Counter, {"name": name, "pool": pool, "bucket": bucket}, {"count": 1, "total": seconds})
