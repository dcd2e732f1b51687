"""The service about itself: is it alive, is it ready, what does it accept."""

from collections.abc import Callable
from functools import cache
from importlib import resources

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy.exc import SQLAlchemyError

from fitqueue.errors import FitQueueError
from fitqueue.views import Readiness
from service import migrate
from service.api import PREFIX
from service.api.context import Services, services
from service.api.parameters import ALWAYS, answer, problems

blueprint = APIBlueprint("service", __name__, abp_tags=[Tag(name="service")], abp_responses=problems(422, 500))


@blueprint.get(
    "/healthz",
    summary="Is the process alive?",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    security=[{}],
)
def healthz() -> Response:
    """Needs no token and no database."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz", summary="Can it work?", responses={**ALWAYS, 200: Readiness, 503: Readiness})
def readyz() -> Response:
    """503 where the database or the store cannot be used. A dead Redis or checker is no reason to refuse work."""
    parts = services()
    found = {
        "database": _attempt(lambda: _check_database(parts)),
        "store": _attempt(parts.store.check),
        "queue": parts.notifier.check() or "ok",
        "checker": parts.checker.status() if parts.checker else "there is none",
    }
    ready = found["database"] == found["store"] == "ok"
    return answer(Readiness(ready=ready, parts=found), 200 if ready else 503)


@blueprint.get(
    f"{PREFIX}/catalogue",
    summary="What a job may consist of",
    responses={**ALWAYS, 200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
def catalogue() -> Response:
    """Every layer, optimizer, loss, metric, initializer … and callback, with its arguments."""
    response = Response(_catalogue(), mimetype="application/json")
    response.add_etag()
    response.make_conditional(request)
    return response


@cache
def _catalogue() -> bytes:
    return (resources.files("fitqueue.spec.keras_objects") / "catalogue.json").read_bytes()


def _attempt(check: Callable[[], None]) -> str:
    try:
        check()
    except (FitQueueError, SQLAlchemyError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


def _check_database(parts: Services) -> None:
    with parts.database.read() as session:
        migrate.check(session)
