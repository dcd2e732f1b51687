"""Who sends the request."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.views import MeView, TokenView
from service.api import PREFIX
from service.api.context import get_services, token_id
from service.api.parameters import ALWAYS, answer
from service.store import tokens

blueprint = APIBlueprint(
    "me", __name__, url_prefix=f"{PREFIX}/me", abp_tags=[Tag(name="service")], abp_responses=ALWAYS
)


@blueprint.get("", summary="Get the token of the request", responses={200: MeView})
def get_me() -> Response:
    """Its name is what jobs and data sets have as `submitted_by`."""
    with get_services().database.read() as session:
        token = tokens.get(session, token_id())
    return answer(MeView(token=TokenView(id=token.id, name=token.name, created_at=token.created_at)))
