"""The workers of the last day."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.views import Page, WorkerView
from service.api import PREFIX
from service.api.context import Services, get_services
from service.api.parameters import ALWAYS, answer
from service.api.views import worker_view
from service.store import workers

blueprint = APIBlueprint(
    "workers", __name__, url_prefix=f"{PREFIX}/workers", abp_tags=[Tag(name="service")], abp_responses=ALWAYS
)


@blueprint.get("", summary="List workers", responses={200: Page[WorkerView]})
def list_workers() -> Response:
    """The workers of the last day: which are alive, what devices they have, what they train."""
    return answer(read_workers(get_services()))


def read_workers(services: Services) -> Page[WorkerView]:
    """Return the workers of the last day, newest first."""
    with services.database.read() as session:
        details = workers.list_all(session, services.settings.lease_seconds)
    return Page[WorkerView](data=[worker_view(worker) for worker in details])
