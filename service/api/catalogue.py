"""The catalogue of what a job may consist of."""

from functools import cache
from importlib import resources

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from service.api import PREFIX
from service.api.parameters import ALWAYS

blueprint = APIBlueprint("catalogue", __name__, url_prefix=PREFIX, abp_tags=[Tag(name="service")], abp_responses=ALWAYS)


@blueprint.get(
    "/catalogue",
    summary="What a job may consist of",
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
def get_catalogue() -> Response:
    """Every layer, optimizer, loss, metric, initializer … and callback, with its arguments."""
    response = Response(_document(), mimetype="application/json")
    response.add_etag()
    response.make_conditional(request)
    return response


@cache
def _document() -> bytes:
    return (resources.files("fitqueue.spec.keras_objects") / "catalogue.json").read_bytes()
