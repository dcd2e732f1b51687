"""The data sets: a list with a place to drop a file, and a page for each."""

from typing import Final

from flask import Blueprint, Response

from fitqueue.roles import DEFAULT_PROJECT
from service.api.context import get_services
from service.api.datasets import DatasetsQuery, read_dataset, read_datasets
from service.api.jobs import ListQuery, read_jobs
from service.pages import visible_projects
from service.pages.parameters import read_query, url_with
from service.pages.rendering import render

SHOWN_JOBS: Final = 20


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/datasets", "datasets", show_all)
    blueprint.add_url_rule("/datasets/<path:reference>", "dataset", show)


def show_all() -> Response:
    query, fault = read_query(DatasetsQuery)
    services = get_services()
    page = read_datasets(services, query)
    return render(
        "datasets.html",
        datasets=page.data,
        query=query,
        is_filtered=query.owner is not None or query.project is not None,
        projects=visible_projects.read_names(services),
        default_project=DEFAULT_PROJECT,
        fault=fault,
        unnamed=query.unnamed,
        next_url=url_with(cursor=page.next_cursor) if page.next_cursor else None,
    )


def show(reference: str) -> Response:
    services = get_services()
    dataset = read_dataset(services, reference)
    jobs = read_jobs(services, ListQuery(dataset=dataset.id, limit=SHOWN_JOBS))
    return render(
        "dataset.html",
        dataset=dataset,
        projects=visible_projects.read_names(services),
        jobs=jobs.data,
        has_more_jobs=jobs.next_cursor is not None,
    )
