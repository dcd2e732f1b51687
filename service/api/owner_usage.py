"""What users and projects have used."""

from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from fitqueue.views import OwnerUsage, Page
from service.api import PREFIX
from service.api.context import get_services, principal
from service.api.parameters import ALWAYS, Query, answer
from service.api.views import owner_usage_view
from service.store import owner_usage

blueprint = APIBlueprint(
    "owner_usage", __name__, url_prefix=f"{PREFIX}/usage", abp_tags=[Tag(name="service")], abp_responses=ALWAYS
)


class OwnerUsageQuery(Query):
    by: Literal["user", "project"] = Field(default="user", description="whose use")


@blueprint.get("", summary="What users or projects have used", responses={200: Page[OwnerUsage]})
def get_usage(query: OwnerUsageQuery) -> Response:
    """Time of GPUs and processors, stored bytes, and jobs. What deleted jobs have used counts, too.

    Admins get all of them; others get themselves, and the projects that they see.
    """
    who = principal()
    with get_services().database.read() as session:
        uses = owner_usage.read(session, query.by, who.viewer, None if who.is_admin else who.user_id)
    return answer(Page[OwnerUsage](data=[owner_usage_view(use) for use in uses], next_cursor=None))
