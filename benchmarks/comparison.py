"""Measures the page that compares jobs, in a browser that shows it."""

from typing import NamedTuple

from playwright.sync_api import Page, expect

_REDRAW = "async () => (await import(document.querySelector('script[type=module]').src)).measureRedraw()"


class Redraw(NamedTuple):
    """One redraw of all charts."""

    seconds: float
    charts: int
    epochs: int
    """The epochs of all jobs together."""


def path(job_ids: list[str]) -> str:
    """Return the path of the page that compares these jobs."""
    return f"/compare?{'&'.join(f'job={job_id}' for job_id in job_ids)}"


def wait_until_drawn(page: Page, jobs: int, timeout: float = 120_000) -> None:
    """Wait until the page has the curves of this many jobs and has drawn them."""
    drawn = page.locator("#curves[data-jobs-drawn]")
    expect(drawn).to_have_attribute("data-jobs-drawn", str(jobs), timeout=timeout)
    expect(page.locator("#loading")).to_be_empty(timeout=timeout)


def measure_redraw_once(page: Page) -> Redraw:
    """Draw all charts of the page again, and return how long the script took."""
    row = page.evaluate(_REDRAW)
    return Redraw(row["milliseconds"] / 1000, row["charts"], row["epochs"])
