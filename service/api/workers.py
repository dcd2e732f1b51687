"""The workers of the last day, and draining them."""

import logging
from typing import Final

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field

from fitqueue.audit_actions import AuditAction
from fitqueue.views import Page, WorkerView
from service.api import PREFIX, auditing
from service.api.context import Services, get_services, principal
from service.api.errors import validated
from service.api.parameters import ALWAYS, Text, answer, json_body, json_request, problems
from service.api.views import worker_view
from service.store import workers

blueprint = APIBlueprint(
    "workers", __name__, url_prefix=f"{PREFIX}/workers", abp_tags=[Tag(name="service")], abp_responses=ALWAYS
)


_logger = logging.getLogger(__name__)

MAX_DRAIN_SECONDS: Final = 366 * 24 * 3600


class WorkerPath(BaseModel):
    worker_id: Text


class DrainRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    timeout_seconds: int | None = Field(
        default=None,
        ge=0,
        le=MAX_DRAIN_SECONDS,
        description="after how many seconds its jobs are requeued; null: it trains them to their end",
    )


@blueprint.get("", summary="List workers", responses={200: Page[WorkerView]})
def list_workers() -> Response:
    """The workers of the last day: which are alive, what devices they have, what they train."""
    return answer(read_workers(get_services()))


@blueprint.post(
    "/<worker_id>/drain",
    summary="Drain a worker",
    openapi_extensions=json_request(DrainRequest, {"timeout_seconds": 600}, required=False),
    responses={200: WorkerView, **problems(400, 404, 413, 415)},
)
def drain_worker(path: WorkerPath) -> Response:
    """It claims no more jobs. Those that it trains end, or are requeued after `timeout_seconds` to resume elsewhere."""
    wanted = validated(DrainRequest, json_body() if request.get_data() else {})
    services = get_services()
    with services.database.write() as session:
        workers.drain(session, path.worker_id, wanted.timeout_seconds)
        auditing.record(session, AuditAction.WORKER_DRAIN, path.worker_id, {"timeout_seconds": wanted.timeout_seconds})
    _logger.info("A worker drains.", extra={"worker": path.worker_id, "user": principal().user})
    return _answer_worker(services, path.worker_id)


@blueprint.delete(
    "/<worker_id>/drain", summary="End the drain of a worker", responses={200: WorkerView, **problems(404)}
)
def end_drain_of_worker(path: WorkerPath) -> Response:
    """It claims jobs again within a few seconds."""
    services = get_services()
    with services.database.write() as session:
        if workers.end_drain(session, path.worker_id):
            auditing.record(session, AuditAction.WORKER_END_DRAIN, path.worker_id)
    _logger.info("A worker no longer drains.", extra={"worker": path.worker_id, "user": principal().user})
    return _answer_worker(services, path.worker_id)


def _answer_worker(services: Services, worker_id: str) -> Response:
    with services.database.read() as session:
        details = workers.get(session, worker_id, services.settings.lease_seconds)
        hidden = workers.hidden_jobs(session, [details], principal().viewer)
    return answer(worker_view(details, hidden))


def read_workers(services: Services) -> Page[WorkerView]:
    """Return the workers of the last day, newest first."""
    with services.database.read() as session:
        details = workers.list_all(session, services.settings.lease_seconds)
        hidden = workers.hidden_jobs(session, details, principal().viewer)
    return Page[WorkerView](data=[worker_view(worker, hidden) for worker in details])
