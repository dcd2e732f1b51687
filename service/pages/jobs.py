"""The list of jobs."""

import shlex

from flask import Blueprint, Response, request

from fitqueue.job_sort import JobSort
from fitqueue.states import JobState
from service.api.context import get_services, principal
from service.api.jobs import ListQuery, read_jobs
from service.pages import visible_projects
from service.pages.example_jobs import QUICKEST
from service.pages.job import actions_for
from service.pages.parameters import read_query, url_with
from service.pages.rendering import render


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/", "jobs", show)


def show() -> Response:
    """Show the jobs that the address asks for; without parameters, the newest of all."""
    query, fault = read_query(ListQuery)
    services, who = get_services(), principal()
    page = read_jobs(services, query)
    is_filtered = bool(query.model_fields_set - {"cursor", "limit", "sort"})
    return render(
        "jobs.html",
        jobs=page.data,
        actions={job.id: actions_for(who, job) for job in page.data},
        query=query,
        projects=visible_projects.read_names(services),
        fault=fault,
        states=list(JobState),
        orders=list(JobSort),
        is_first_visit=not page.data and not is_filtered and query.cursor is None,
        is_filtered=is_filtered,
        service_url=shlex.quote(request.root_url.rstrip("/")),
        quickest_example=QUICKEST,
        next_url=url_with(cursor=page.next_cursor) if page.next_cursor else None,
        first_url=url_with(cursor=None) if query.cursor else None,
    )
