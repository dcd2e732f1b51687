"""Who trains."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.views import Page, WorkerView
from service.api import PREFIX
from service.api.context import services
from service.api.parameters import ALWAYS, answer
from service.store import workers

blueprint = APIBlueprint(
    "workers", __name__, url_prefix=f"{PREFIX}/workers", abp_tags=[Tag(name="service")], abp_responses=ALWAYS
)


@blueprint.get("", summary="List workers", responses={200: Page[WorkerView]})
def list_workers() -> Response:
    """Those of the last day: who is alive, what it has, what it trains."""
    parts = services()
    with parts.database.read() as session:
        return answer(Page[WorkerView](data=workers.list_all(session, parts.settings.lease_seconds)))
