"""The list of jobs."""

from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from pydantic import ValidationError

from fitqueue.states import JobState
from service.api.context import get_services
from service.api.jobs import ListQuery
from service.api.views import job_summary
from service.pages.rendering import render
from service.store import job_details, job_list

_LISTS: Final = frozenset({"state", "label"})


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/", "jobs", show)


def show() -> Response:
    """Show the jobs that the address asks for; without parameters, the newest of all."""
    try:
        query, fault = ListQuery.model_validate(_parameters()), None
    except ValidationError as error:
        query, fault = ListQuery(), error.errors()[0]
    services = get_services()
    with services.database.read() as session:
        rows, cursor = job_list.list_page(session, query.filter, query.cursor, query.limit, query.sort)
        details = job_details.read_all(session, rows, services.settings.lease_seconds)
    is_filtered = bool(query.model_fields_set - {"cursor", "limit", "sort"})
    return render(
        "jobs.html",
        jobs=[job_summary(job) for job in details],
        query=query,
        fault=fault,
        states=list(JobState),
        is_first_visit=not rows and not is_filtered and query.cursor is None,
        is_filtered=is_filtered,
        next_url=_url_with(cursor=cursor) if cursor else None,
        first_url=_url_with(cursor=None) if query.cursor else None,
    )


def _parameters() -> dict[str, Any]:
    """Return the parameters of the address. A field of a form that was left empty is not one."""
    return {
        name: request.args.getlist(name) if name in _LISTS else request.args[name]
        for name in request.args
        if any(request.args.getlist(name))
    }


def _url_with(**changed: str | None) -> str:
    """Return the address of this page with other parameters."""
    kept = [(key, value) for key, value in request.args.items(multi=True) if key not in changed]
    parameters = [*kept, *((key, value) for key, value in changed.items() if value is not None)]
    return f"{request.script_root}{request.path}?{urlencode(parameters)}"
