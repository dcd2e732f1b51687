"""Links that log a browser in once."""

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.audit_actions import AuditAction
from fitqueue.views import LoginLink
from service.api import PREFIX, auditing
from service.api.authentication import LOGIN_PATH
from service.api.context import get_services, principal
from service.api.parameters import ALWAYS, answer, problems
from service.store import login

blueprint = APIBlueprint(
    "login_links", __name__, url_prefix=f"{PREFIX}/login-links", abp_tags=[Tag(name="service")], abp_responses=ALWAYS
)


@blueprint.post("", summary="Create a link that logs a browser in", responses={201: LoginLink, **problems(403)})
def create_login_link() -> Response:
    """Whoever opens the link first is logged in with the token of this request. It works once, within a day.

    `&next=/jobs/ID` after it opens that page.
    """
    with get_services().database.write() as session:
        secret, expires_at = login.create_link(session, principal().token_id)
        auditing.record(session, AuditAction.LOGIN_CREATE_LINK, principal().token_id)
    url = f"{request.root_url.rstrip('/')}{LOGIN_PATH}?link={secret}"
    return answer(LoginLink(url=url, expires_at=expires_at), 201)
