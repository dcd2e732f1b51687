"""Who sends the request."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.account_views import MeView
from service.api import PREFIX
from service.api.account_views import token_view, user_view
from service.api.context import Services, get_services, principal
from service.api.parameters import ALWAYS, answer
from service.store import projects, tokens, users

blueprint = APIBlueprint(
    "me", __name__, url_prefix=f"{PREFIX}/me", abp_tags=[Tag(name="accounts")], abp_responses=ALWAYS
)


@blueprint.get("", summary="Get the user of the request", responses={200: MeView})
def get_me() -> Response:
    """The user with their limits and what they have, the token of the request, and the projects that the user sees."""
    return answer(read_me(get_services()))


def read_me(services: Services) -> MeView:
    """Return the user of the request, its token, and the projects that the user sees."""
    who = principal()
    with services.database.read() as session:
        user, token = users.get(session, who.user_id), tokens.get(session, who.token_id)
        visible = [project.name for project in projects.list_all(session, who.viewer)]
        view = user_view(session, user)
    return MeView(user=view, token=token_view(token, user.name), projects=visible)
