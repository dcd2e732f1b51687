"""Measure the pages: bytes, first paint, curves drawn, redraws, requests a minute, and what thirty of them cost.

Each part can be measured alone. Without a name, all parts are measured, one after the other. They need Chromium or
Chrome, except for `cost`, whose thirty pages are clients that send what pages send; with `--tabs` they are real tabs.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import comparison
from benchmarks.common import Figures, Rows, measure_parts
from benchmarks.pages import browsing, load
from benchmarks.pages.browsing import Target
from benchmarks.pages.rows import end_job, start_job, started_jobs
from benchmarks.pages.serving import API, running_api
from benchmarks.postgres import running_postgres

COMPARED: Final = 20


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    runs: int
    epochs: int
    """Epochs of the long job and of those that are compared."""
    seconds: float
    """How long requests and CPU seconds are counted."""
    pages: int
    databases: tuple[str, ...]
    tabs: bool = False


FULL: Final = Extent(runs=5, epochs=5_000, seconds=60.0, pages=load.PAGES, databases=("sqlite", "postgresql"))
SHORT: Final = Extent(runs=1, epochs=400, seconds=5.0, pages=3, databases=("sqlite",))


@contextmanager
def _sqlite_api() -> Iterator[API]:
    with tempfile.TemporaryDirectory(prefix="fitqueue-") as name:
        folder = Path(name)
        with running_api(f"sqlite:///{folder / 'fitqueue.db'}", folder) as api:
            yield api


@contextmanager
def _postgres_api() -> Iterator[API]:
    with (
        tempfile.TemporaryDirectory(prefix="fitqueue-") as name,
        running_postgres() as url,
        running_api(url, Path(name)) as api,
    ):
        yield api


def _ended_job(api: API, epochs: int) -> Target:
    job_id = end_job(api.database, start_job(api.database, f"{epochs} epochs", epochs))
    return Target(f"/jobs/{job_id}", f'[data-drawn="{epochs}"]')


def _comparison(api: API, epochs: int) -> Target:
    """Return the page that compares jobs. It says of how many jobs the curves are drawn."""
    ids = [end_job(api.database, lease) for lease in started_jobs(api.database, COMPARED, epochs)]
    return Target(comparison.path(ids), f'[data-jobs-drawn="{COMPARED}"]')


# --- Parts ---------------------------------------------------------------------------------------------------------


def loading(extent: Extent) -> tuple[Rows, Figures]:
    with _sqlite_api() as api, browsing.running_browser() as browser:
        targets = {
            "login": Target("/login", needs_login=False),
            "a job of 300 epochs": _ended_job(api, 300),
            f"a job of {extent.epochs:,} epochs": _ended_job(api, extent.epochs),
            f"{COMPARED} jobs of {extent.epochs:,} epochs compared": _comparison(api, extent.epochs),
            "the list of jobs": Target("/"),
        }
        loads = browsing.measure_loading(browser, api, targets, extent.runs)
    rows = [
        (f"{name}, {cache} cache", _loading_text(figures))
        for name, by_cache in loads.items()
        for cache, figures in by_cache.items()
    ]
    return rows, {"loading": loads}


def _loading_text(figures: Mapping[str, float]) -> str:
    drawn = f", curves drawn after {figures['drawn_seconds']:.2f} s" if "drawn_seconds" in figures else ""
    return f"{figures['bytes'] / 1000:,.0f} kB, text after {figures['paint_seconds']:.2f} s{drawn}"


def redraw(extent: Extent) -> tuple[Rows, Figures]:
    with _sqlite_api() as api, browsing.running_browser() as browser:
        figures = browsing.measure_redraw(browser, api, _comparison(api, extent.epochs), 2 * extent.runs)
    title = f"one redraw of {COMPARED} jobs of {extent.epochs:,} epochs, {figures['charts']} charts"
    text = f"{figures['cpu_seconds']:.2f} s of a processor, {figures['clock_seconds']:.2f} s by the clock"
    return [(title, text)], {"redraw": figures}


def requests(extent: Extent) -> tuple[Rows, Figures]:
    with _sqlite_api() as api, browsing.running_browser() as browser:
        ended = _ended_job(api, 50)
        with load.training_jobs(api, 1) as [running]:
            targets = {
                "a running job": Target(f"/jobs/{running}", "[data-drawn]"),
                "an ended job": ended,
                "the list of jobs": Target("/"),
            }
            counts = browsing.measure_requests(browser, api, targets, extent.seconds)
    rows = [
        (f"requests a minute of {name}", f"{count['visible']:.0f}, and {count['hidden']:.0f} while hidden")
        for name, count in counts.items()
    ]
    return rows, {"requests_a_minute": counts}


def cost(extent: Extent) -> tuple[Rows, Figures]:
    apis = {"sqlite": _sqlite_api, "postgresql": _postgres_api}
    costs = {}
    for name in extent.databases:
        with apis[name]() as api:
            costs[name] = _cost(api, extent)
    kind = "tabs" if extent.tabs else "clients that send what pages send"
    rows = [
        (f"{extent.pages} open pages of running jobs, {name} ({kind})", _cost_text(figures))
        for name, figures in costs.items()
    ]
    return rows, {"cost": costs, "cost_of": kind}


def _cost(api: API, extent: Extent) -> dict[str, Any]:
    if not extent.tabs:
        return load.measure_clients(api, extent.seconds, extent.pages)
    with browsing.running_browser() as browser:
        return load.measure_tabs(browser, api, extent.seconds, extent.pages)


def _cost_text(figures: Mapping[str, Any]) -> str:
    count = sum(figures["requests_a_second"].values())
    database = f", the database {figures['database_cpu']:.1%}" if figures["database_cpu"] else ""
    return f"the API takes {figures['api_cpu']:.1%} of a core{database}, for {count:.0f} requests a second"


PARTS: Final[Mapping[str, Callable[[Extent], tuple[Rows, Figures]]]] = {
    "loading": loading,
    "redraw": redraw,
    "requests": requests,
    "cost": cost,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--short", action="store_true", help="a minute or two in all: one run, fewer epochs and pages")
    parser.add_argument("--tabs", action="store_true", help="measure the cost of real tabs; they need many processors")
    options = parser.parse_args(arguments)
    extent = replace(SHORT if options.short else FULL, tabs=options.tabs)
    measure_parts("pages", parser, options.parts, PARTS, {"short": options.short}, extent)


if __name__ == "__main__":
    main()
