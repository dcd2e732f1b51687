"""The queue in the order of claims, and the workers with their GPUs."""

from collections.abc import Iterable

from flask import Blueprint, Response, request

from fitqueue.views import WorkerView
from service.api.context import Services, get_services
from service.api.queue import QueueQuery, read_queue
from service.api.workers import read_workers
from service.pages import visible_projects
from service.pages.parameters import read_query, url_with
from service.pages.rendering import render
from service.store import jobs


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/queue", "queue", show)


def show() -> Response:
    """Show what waits, and the live workers; with `?gone=true`, also those that are gone."""
    services = get_services()
    shows_gone = request.args.get("gone") == "true"
    query, fault = read_query(QueueQuery, ignored={"gone"})
    queue = read_queue(services, query)
    workers = read_workers(services).data
    shown = [worker for worker in workers if worker.alive or shows_gone]
    return render(
        "queue.html",
        waiting=queue.data,
        query=query,
        is_filtered=bool(query.model_fields_set - {"cursor", "limit"}),
        projects=visible_projects.read_names(services),
        fault=fault,
        next_url=url_with(cursor=queue.next_cursor) if queue.next_cursor else None,
        workers=shown,
        uses={worker.id: {use.uuid: use for use in worker.gpu_use} for worker in shown},
        names=_names_of_jobs(services, shown),
        gone=sum(not worker.alive for worker in workers),
        shows_gone=shows_gone,
    )


def _names_of_jobs(services: Services, workers: Iterable[WorkerView]) -> dict[str, str | None]:
    """Return the names of the jobs that workers train, by id."""
    ids = {job_id for worker in workers for job_id in (*worker.jobs, *worker.gpus_held_by.values())}
    with services.database.read() as session:
        return jobs.names(session, ids)
