"""Users: for admins."""

from typing import Annotated, Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from fitqueue.account_views import UserView
from fitqueue.audit_actions import AuditAction
from fitqueue.limits import ChangedUserLimits, merged
from fitqueue.roles import Role
from fitqueue.spec.parsing.job import MAX_PRIORITY
from fitqueue.spec.strict import Pattern
from fitqueue.views import Page
from service.api import PREFIX, auditing
from service.api.account_views import user_view, user_views
from service.api.addresses import address_of
from service.api.context import get_services
from service.api.errors import validated
from service.api.parameters import ALWAYS, Text, answer, json_body, json_request, problems
from service.store import audit, users
from service.store.audit import Actor

blueprint = APIBlueprint(
    "users", __name__, url_prefix=f"{PREFIX}/users", abp_tags=[Tag(name="accounts")], abp_responses=ALWAYS
)

MAX_SHARE: Final = 1_000.0

UserName = Annotated[
    str,
    Pattern(
        "[a-z0-9][a-z0-9._@+-]{0,63}",
        "1 to 64 lower-case letters, digits, dots, dashes, underscores and @, beginning with a letter or digit",
    ),
]


class NewUser(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: UserName
    role: Role = Field(default=Role.MEMBER, description="what the user may do")


class UserChange(BaseModel):
    """What becomes of a user. A field that is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role = Role.MEMBER
    share: float = Field(default=1.0, gt=0, le=MAX_SHARE, allow_inf_nan=False)
    max_priority: int = Field(default=0, ge=0, le=MAX_PRIORITY)
    limits: ChangedUserLimits | None = Field(default=None, description="a merge patch; null removes all limits")
    disabled: bool = False


class UserPath(BaseModel):
    user: Text = Field(description="a name or an id")


@blueprint.get("", summary="List users", responses={200: Page[UserView], **problems(403)})
def list_users() -> Response:
    """All users by name, those that are disabled, too."""
    return answer(Page[UserView](data=read_users(), next_cursor=None))


def read_users() -> list[UserView]:
    with get_services().database.read() as session:
        return user_views(session, users.list_all(session))


@blueprint.post(
    "",
    summary="Create a user",
    openapi_extensions=json_request(NewUser, {"name": "ada", "role": "member"}),
    responses={201: UserView, **problems(400, 403, 409, 413, 415)},
)
def create_user() -> Response:
    """The user has no token yet: `POST /tokens` with `user` creates one."""
    view = create(json_body())
    return answer(view, 201, {"Location": address_of(f"/users/{view.id}")})


def create(body: object) -> UserView:
    """Create the user that a request describes.

    Raises:
        InvalidRequest: the request does not describe one.
        NameTaken: another user has this name.
    """
    wanted, services = validated(NewUser, body), get_services()
    with services.database.write() as session:
        return create_as(auditing.actor(), session, wanted, services.settings.new_user_limits)


def create_as(by: Actor, session: Session, wanted: NewUser, limits: ChangedUserLimits | None) -> UserView:
    """Create a user with these limits, as somebody who may do so.

    Raises:
        NameTaken: another user has this name.
    """
    view = user_view(session, users.create(session, wanted.name, wanted.role, limits))
    audit.record(session, by, AuditAction.USER_CREATE, view.id, {"name": wanted.name, "role": wanted.role})
    return view


@blueprint.get("/<user>", summary="Get a user", responses={200: UserView, **problems(403, 404)})
def get_user(path: UserPath) -> Response:
    with get_services().database.read() as session:
        return answer(user_view(session, users.get(session, path.user)))


@blueprint.patch(
    "/<user>",
    summary="Change a user",
    openapi_extensions=json_request(UserChange, {"max_priority": 10, "limits": {"running_jobs": 4, "gpus": None}}),
    responses={200: UserView, **problems(400, 403, 404, 409, 413, 415)},
)
def change_user(path: UserPath) -> Response:
    """Role, share, priority and limits, and whether the user is disabled: then no token of theirs is valid."""
    return answer(change(path.user, json_body()))


def change(reference: str, body: object) -> UserView:
    """Change a user as a request says.

    Raises:
        InvalidRequest: the request does not describe a change.
        UserNotFound: there is no such user.
        LastAdmin: no admin would be left.
    """
    asked = validated(UserChange, body)
    with get_services().database.write() as session:
        return change_as(auditing.actor(), session, reference, asked)


def change_as(by: Actor, session: Session, reference: str, asked: UserChange) -> UserView:
    """Change a user, as somebody who may do so.

    Raises:
        UserNotFound: there is no such user.
        LastAdmin: no admin would be left.
    """
    given = asked.model_fields_set
    wanted = {name: getattr(asked, name) for name in given - {"disabled", "limits"}}
    before = user_view(session, users.get(session, reference))
    user = users.change(session, reference, wanted, disabled=asked.disabled if "disabled" in given else None)
    if "limits" in given:
        user.limits = merged(user.limits, asked.limits)
    after = user_view(session, user)
    auditing.record_change(session, by, AuditAction.USER_CHANGE, before, after)
    return after
