"""The catalogue of what a job may consist of, and the JSON Schema by which editors complete a job."""

import hashlib
import json
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Final

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict

from fitqueue.spec import job_schema
from service.api import PREFIX, compression
from service.api.authentication import JOB_SCHEMA_PATH
from service.api.parameters import ALWAYS

_DOCUMENT: Final[ResponseDict] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}},
    304: None,
}

blueprint = APIBlueprint("catalogue", __name__, url_prefix=PREFIX, abp_tags=[Tag(name="service")], abp_responses=ALWAYS)


@blueprint.get(
    "/catalogue",
    summary="What a job may consist of",
    responses=_DOCUMENT,
)
def get_catalogue() -> Response:
    """Every layer, optimizer, loss, metric, initializer … and callback, with its arguments."""
    return _answer(_catalogue())


@blueprint.get(
    JOB_SCHEMA_PATH.removeprefix(PREFIX), summary="The JSON Schema of a job", responses=_DOCUMENT, security=[{}]
)
def get_job_schema() -> Response:
    """For editors: with the arguments of each class. Needs no token, because editors send none."""
    return _answer(_job_schema())


def _answer(document: bytes) -> Response:
    """Answer with a large document that never changes, so it is hashed and compressed once."""
    response = Response(document, mimetype="application/json")
    response.set_etag(_etag(document))
    response.make_conditional(request)
    if response.status_code == HTTPStatus.OK and compression.is_wanted():
        compression.replace_content(response, _compressed(document))
    return response


@cache
def _etag(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()[:20]


@cache
def _compressed(document: bytes) -> bytes:
    return compression.compress(document)


@cache
def _catalogue() -> bytes:
    return (resources.files("fitqueue.spec.keras_objects") / "catalogue.json").read_bytes()


@cache
def _job_schema() -> bytes:
    return json.dumps(job_schema(with_arguments=True), separators=(",", ":")).encode()
