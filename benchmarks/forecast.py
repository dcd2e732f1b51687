"""Simulate a month of jobs, and compare what the forecast says with what then happens."""

import argparse
from dataclasses import asdict

from benchmarks.common import Rows, report
from benchmarks.simulated_queue import Accuracy, simulate

_TITLES = {
    "running_estimates": "end of a running job",
    "running_bounds": "end of a running job, at most",
    "starts_estimates": "start of a queued job",
    "starts_bounds": "start of a queued job, at most",
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=14)
    options = parser.parse_args(arguments)
    outcome = simulate(options.days, options.seed)
    accuracies = outcome.accuracies()
    rows: Rows = [("jobs", f"{outcome.jobs:,} in {options.days:g} days")]
    rows += [(_TITLES[name], line(accuracy)) for name, accuracy in accuracies.items()]
    unknown = {
        "running": share(outcome.unknown_running, len(outcome.running)),
        "starts": share(outcome.unknown_starts, len(outcome.starts)),
    }
    rows += [(f"unknown, {name}", f"{value:.1%}") for name, value in unknown.items()]
    figures = {name: asdict(accuracy) for name, accuracy in accuracies.items()}
    report("forecast", rows, {"days": options.days, "jobs": outcome.jobs, "unknown": unknown, **figures})


def line(accuracy: Accuracy) -> str:
    return (
        f"off by {accuracy.median_error:.0%} (p90 {accuracy.p90_error:.0%}), {accuracy.median_minutes:.1f} min "
        f"(p90 {accuracy.p90_minutes:.0f} min); {accuracy.held:.0%} not exceeded; of {accuracy.count:,}"
    )


def share(unknown: int, known: int) -> float:
    return unknown / max(1, unknown + known)


if __name__ == "__main__":
    main()
