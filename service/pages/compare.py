"""The page that compares jobs: their curves, their best values, and in what their specs differ."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final

from flask import Blueprint, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from fitqueue import differences
from fitqueue.errors import JobNotFound
from fitqueue.states import JobState
from fitqueue.text import truncate
from service.api.context import get_services, principal
from service.api.views import job_summary
from service.pages import comparison
from service.pages.parameters import url_with
from service.pages.rendering import render
from service.store import compared_jobs, job_details, job_list, jobs
from service.store.access import Viewer
from service.store.job_list import Filter

MAX_JOBS: Final = 20
MAX_ROWS: Final = 1_000
"""Rows of the table of differences. Specs may have far more values than a browser can show."""

RECENT_JOBS: Final = 100
"""Jobs that the field for another job offers."""

_SHORT: Final = 60
_MAX_WHOLE: Final = 10_000
"""Characters of a value that the page holds. A longer one can be read in the page of its job."""

_MAX_NAME: Final = 128


@dataclass(frozen=True)
class Value:
    """A value of a spec, as the table of differences shows it. `whole` is empty if `short` is all of it."""

    short: str
    whole: str = ""
    is_missing: bool = False


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/compare", "compare", show)


def show() -> BaseResponse:
    """Show the jobs that the address names. With `add`, an id or a name, redirect to an address with this job, too."""
    asked = list(dict.fromkeys(filter(None, request.args.getlist("job"))))
    added = request.args.get("add", "").strip()
    services, viewer = get_services(), principal().viewer
    with services.database.read() as session:
        new = _find(session, added, viewer) if added else None
        if new is not None:
            return redirect(url_with(add=None, job=list(dict.fromkeys([*asked, new]))), 303)
        found = compared_jobs.with_specs(session, _storable(asked[:MAX_JOBS]), viewer)
        ids = [job.id for job in found]
        specs = [job.spec for job in found]
        summaries = [job_summary(job) for job in job_details.read_all(session, found, services.settings.lease_seconds)]
        trained = compared_jobs.trained(session, ids)
        recent, _ = job_list.list_page(session, Filter(viewer=viewer), None, RECENT_JOBS)
    shows_all = request.args.get("values") == "all"
    rows = list(islice(_rows(specs, shows_all), MAX_ROWS + 1)) if len(found) > 1 else []
    return render(
        "compare.html",
        jobs=summaries,
        labels=comparison.labels_of(summaries),
        unknown=[truncate(text, 80) for text in [*asked[:MAX_JOBS], *([added] if added else [])] if text not in ids],
        left_out=max(0, len(asked) - MAX_JOBS),
        max_jobs=MAX_JOBS,
        running=sum(job.state is JobState.RUNNING for job in summaries),
        table=comparison.compare(summaries, trained, request.args.get("sort", "")),
        sort=request.args.get("sort", ""),
        rows=rows[:MAX_ROWS],
        max_rows=MAX_ROWS,
        has_more_rows=len(rows) > MAX_ROWS,
        shows_all=shows_all,
        recent=[job for job in recent if job.id not in ids],
        url=partial(url_with, add=None),
        without=lambda id: url_with(add=None, job=[other for other in asked if other != id]),
    )


def _find(session: Session, text: str, viewer: Viewer) -> str | None:
    """Return the id of the job with this id, or else of the newest one with this name."""
    if not _storable([text]):
        return None
    with suppress(JobNotFound):
        return jobs.get(session, text, viewer).id
    named, _ = (
        job_list.list_page(session, Filter(name=text, viewer=viewer), None, 1) if len(text) <= _MAX_NAME else ([], None)
    )
    return named[0].id if named else None


def _storable(texts: Sequence[str]) -> list[str]:
    """Return those that can be an id or a name: PostgreSQL cannot compare anything with the character NUL."""
    return [text for text in texts if "\0" not in text]


def _rows(specs: Sequence[Any], shows_all: bool) -> Iterator[tuple[str, bool, list[Value]]]:
    for row in differences.compare(specs):
        if shows_all or row.differs:
            yield row.pointer, row.differs, [_value(value) for value in row.values]


def _value(value: Any) -> Value:
    if value is differences.MISSING:
        return Value("", is_missing=True)
    text = differences.as_text(value)
    return Value(truncate(text, _SHORT), truncate(text, _MAX_WHOLE) if len(text) > _SHORT else "")
