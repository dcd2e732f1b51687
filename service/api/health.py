"""Whether the service is alive, and whether it can work."""

from collections.abc import Callable

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy.exc import SQLAlchemyError

from fitqueue.errors import FitQueueError
from fitqueue.views import Readiness
from service import migrate
from service.api.context import Services, get_services
from service.api.parameters import ALWAYS, answer, problems

blueprint = APIBlueprint("health", __name__, abp_tags=[Tag(name="service")], abp_responses=problems(422, 500))


@blueprint.get(
    "/healthz",
    summary="Is the process alive?",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    security=[{}],
)
def get_health() -> Response:
    """Needs no token and no database."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz", summary="Can it work?", responses={**ALWAYS, 200: Readiness, 503: Readiness})
def get_readiness() -> Response:
    """503 if the database or the storage cannot be used. Without Redis or a checker, jobs are accepted all the same."""
    services = get_services()
    parts = {
        "database": _probe(lambda: _probe_database(services)),
        "storage": _probe(services.storage.probe),
        "queue": services.notifier.probe() or "ok",
        "checker": services.checker.status() if services.checker else "there is none",
    }
    ready = parts["database"] == parts["storage"] == "ok"
    return answer(Readiness(ready=ready, parts=parts), 200 if ready else 503)


def _probe(probe: Callable[[], None]) -> str:
    """Return `ok`, or what the probe raised."""
    try:
        probe()
    except (FitQueueError, SQLAlchemyError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


def _probe_database(services: Services) -> None:
    with services.database.read() as session:
        migrate.verify_version(session)
