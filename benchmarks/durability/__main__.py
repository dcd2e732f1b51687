"""Measure durability: the cost of snapshots, the seconds until a lost job resumes, and the claims per second.

Each part can be measured alone. Without a name, all parts are measured, one after the other.
"""

import argparse
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.common import Figures, Rows, measure_parts, mnist_or_synthetic
from benchmarks.durability.claims import CLAIMERS, QUEUED, USERS, measure_claims_on_both_databases
from benchmarks.durability.resuming import measure_resuming
from benchmarks.durability.snapshots import measure_snapshots


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    runs: int
    epochs: int
    samples: int | None
    """How many samples a training has; None for all."""
    lease_seconds: float
    claims_each: int


FULL: Final = Extent(runs=3, epochs=2, samples=None, lease_seconds=30.0, claims_each=200)
SHORT: Final = Extent(runs=1, epochs=1, samples=6_000, lease_seconds=6.0, claims_each=25)


def claims(extent: Extent, data: Path | None) -> tuple[Rows, Figures]:
    rows, figures = [], {}
    for users in (1, USERS):
        by_database = measure_claims_on_both_databases(extent.claims_each, users)
        title = f"claims per second, {QUEUED:,} queued jobs of {users} users, {CLAIMERS} workers"
        rows += [(f"{title}, {name}", f"{count:.0f}") for name, count in by_database.items()]
        figures[f"of_{users}_users"] = by_database
    return rows, {"claims_per_second": figures}


def sigkill(extent: Extent, data: Path | None) -> tuple[Rows, Figures]:
    seconds = measure_resuming(signal.SIGKILL, extent.lease_seconds)
    title = f"SIGKILL to a worker until the next step on another (lease {extent.lease_seconds:g} s)"
    return [(title, f"{seconds:.1f} s")], {"seconds_to_resume_after_sigkill": seconds}


def sigterm(extent: Extent, data: Path | None) -> tuple[Rows, Figures]:
    seconds = measure_resuming(signal.SIGTERM, extent.lease_seconds)
    title = "SIGTERM to a worker until the next step on another"
    return [(title, f"{seconds:.1f} s")], {"seconds_to_resume_after_sigterm": seconds}


def snapshots(extent: Extent, data: Path | None) -> tuple[Rows, Figures]:
    with mnist_or_synthetic(data, extent.samples) as path:
        seconds_with, seconds_without = measure_snapshots(path, extent.runs, extent.epochs)
    # The minimum: other work on the machine makes all other runs slower.
    cost = min(seconds_with) / min(seconds_without) - 1
    return [("snapshots, as a share of the training of the MNIST CNN", f"{cost:+.1%}")], {
        "seconds_with_snapshots": seconds_with,
        "seconds_without_snapshots": seconds_without,
        "snapshot_cost": cost,
    }


PARTS: Final[Mapping[str, Callable[[Extent, Path | None], tuple[Rows, Figures]]]] = {
    "claims": claims,
    "sigkill": sigkill,
    "sigterm": sigterm,
    "snapshots": snapshots,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--short", action="store_true", help="two minutes in all: fewer samples and a shorter lease")
    parser.add_argument("--data", type=Path, help="MNIST as .npz; without it, synthetic data of its size")
    options = parser.parse_args(arguments)
    extent = SHORT if options.short else FULL
    measure_parts("durability", parser, options.parts, PARTS, {"short": options.short}, extent, options.data)


if __name__ == "__main__":
    main()
