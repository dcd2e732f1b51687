"""The audit log: for admins."""

from datetime import UTC, datetime
from typing import Annotated

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import AfterValidator, AwareDatetime, Field

from fitqueue.account_views import AuditView
from fitqueue.views import Page
from service.api import PREFIX
from service.api.context import Services, get_services
from service.api.parameters import ALWAYS, Query, RowNumber, Text, answer, problems
from service.models import AuditEntry
from service.store import audit
from service.store.audit import AuditFilter

blueprint = APIBlueprint(
    "audit", __name__, url_prefix=f"{PREFIX}/audit", abp_tags=[Tag(name="accounts")], abp_responses=ALWAYS
)


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is not a time that the calendar has in UTC") from None


class AuditQuery(Query):
    user: Text | None = Field(default=None, max_length=64, description="the name of the user who did it")
    action: Text | None = Field(
        default=None, max_length=64, description="an action, or the kind of its target: `job.cancel`, `job`"
    )
    target: Text | None = Field(default=None, max_length=255, description="the id of what it was done to")
    since: Annotated[AwareDatetime, AfterValidator(_in_utc)] | None = Field(
        default=None, description="only what was done at this time or later"
    )
    cursor: RowNumber | None = Field(default=None, description="`next_cursor` of the page before")
    limit: int = Field(default=50, ge=1, le=1_000)

    def filter(self) -> AuditFilter:
        return AuditFilter(user=self.user, action=self.action, target=self.target, since=self.since)


@blueprint.get("", summary="List the audit log", responses={200: Page[AuditView], **problems(403)})
def list_audit(query: AuditQuery) -> Response:
    """Who did what, when and from where, newest first."""
    return answer(read_audit(get_services(), query))


def read_audit(services: Services, query: AuditQuery) -> Page[AuditView]:
    """Return a page of the audit log."""
    with services.database.read() as session:
        rows, cursor = audit.list_page(session, query.filter(), query.cursor, query.limit)
    next_cursor = None if cursor is None else str(cursor)
    return Page[AuditView](data=[_view(row) for row in rows], next_cursor=next_cursor)


def _view(row: AuditEntry) -> AuditView:
    return AuditView(
        id=row.id,
        at=row.at,
        user=row.user,
        user_id=row.user_id,
        token_id=row.token_id,
        address=row.address,
        action=row.action,
        target=row.target_id,
        data=row.data,
    )
