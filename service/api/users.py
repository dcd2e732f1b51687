"""Users: for admins."""

from typing import Annotated, Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field

from fitqueue.account_views import UserView
from fitqueue.roles import Role
from fitqueue.spec.parsing.job import MAX_PRIORITY
from fitqueue.spec.strict import Pattern
from fitqueue.views import Page
from service.api import PREFIX
from service.api.account_views import user_view
from service.api.addresses import address_of
from service.api.context import get_services
from service.api.errors import validated
from service.api.parameters import ALWAYS, Text, answer, json_body, json_request, problems
from service.store import users

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
    disabled: bool = False


class UserPath(BaseModel):
    user: Text = Field(description="a name or an id")


@blueprint.get("", summary="List users", responses={200: Page[UserView], **problems(403)})
def list_users() -> Response:
    """All users by name, those that are disabled, too."""
    return answer(Page[UserView](data=read_users(), next_cursor=None))


def read_users() -> list[UserView]:
    with get_services().database.read() as session:
        return [user_view(row) for row in users.list_all(session)]


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
    wanted = validated(NewUser, body)
    with get_services().database.write() as session:
        return user_view(users.create(session, wanted.name, wanted.role))


@blueprint.get("/<user>", summary="Get a user", responses={200: UserView, **problems(403, 404)})
def get_user(path: UserPath) -> Response:
    with get_services().database.read() as session:
        return answer(user_view(users.get(session, path.user)))


@blueprint.patch(
    "/<user>",
    summary="Change a user",
    openapi_extensions=json_request(UserChange, {"role": "admin", "max_priority": 10}),
    responses={200: UserView, **problems(400, 403, 404, 409, 413, 415)},
)
def change_user(path: UserPath) -> Response:
    """Role, share and priority, and whether the user is disabled: then no token of theirs is valid."""
    return answer(change(path.user, json_body()))


def change(reference: str, body: object) -> UserView:
    """Change a user as a request says.

    Raises:
        InvalidRequest: the request does not describe a change.
        UserNotFound: there is no such user.
        LastAdmin: no admin would be left.
    """
    asked = validated(UserChange, body)
    wanted = {name: getattr(asked, name) for name in asked.model_fields_set if name != "disabled"}
    disabled = asked.disabled if "disabled" in asked.model_fields_set else None
    with get_services().database.write() as session:
        return user_view(users.change(session, reference, wanted, disabled=disabled))
