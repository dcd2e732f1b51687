"""The tokens of the user who asks; admins see and manage those of everybody."""

from datetime import timedelta
from typing import Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from fitqueue.account_views import NewTokenView, TokenView
from fitqueue.audit_actions import AuditAction
from fitqueue.errors import Conflict, Forbidden, TokenNotFound
from fitqueue.roles import Scope
from fitqueue.spec.parsing.job import JobName
from fitqueue.views import Page
from service import clock
from service.api import PREFIX, auditing
from service.api.account_views import token_view
from service.api.context import get_services, principal
from service.api.errors import validated
from service.api.parameters import ALWAYS, Query, Text, answer, json_body, json_request, problems
from service.models import User
from service.store import audit, proxy_logins, tokens, users
from service.store.audit import Actor

blueprint = APIBlueprint(
    "tokens", __name__, url_prefix=f"{PREFIX}/tokens", abp_tags=[Tag(name="accounts")], abp_responses=ALWAYS
)

MAX_DAYS: Final = 3_660


class NewToken(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: JobName = Field(description="what its jobs and data sets have as `submitted_by`")
    user: Text | None = Field(default=None, max_length=64, description="for admins: whose it is; null: one's own")
    scope: Scope = Field(default=Scope.ALL, description="what it may do of what its user may")
    expires_in_days: int | None = Field(
        default=None,
        ge=1,
        le=MAX_DAYS,
        description="null: it does not expire, or together with the token of the request",
    )


class TokensQuery(Query):
    user: Text | None = Field(default=None, max_length=64, description="for admins: those of the user with this name")


class TokenPath(BaseModel):
    token_id: Text


@blueprint.get("", summary="List tokens", responses={200: Page[TokenView], **problems(403, 404)})
def list_tokens(query: TokensQuery) -> Response:
    """Your own, oldest first, with those that are revoked or have expired. The tokens themselves are not shown."""
    return answer(Page[TokenView](data=read_tokens(query.user), next_cursor=None))


@blueprint.post(
    "",
    summary="Create a token",
    openapi_extensions=json_request(NewToken, {"name": "laptop", "scope": "submit", "expires_in_days": 90}),
    responses={201: NewTokenView, **problems(400, 403, 404, 413, 415)},
)
def create_token() -> Response:
    """The answer is the only one with the token itself: only its hash is stored.

    It may do no more than the token of this request, and one's own is valid for no longer.
    """
    return answer(create(json_body()), 201)


def create(body: object) -> NewTokenView:
    """Create the token that a request describes.

    Raises:
        InvalidRequest: the request does not describe one.
        Forbidden: it is for somebody else, or may do more or is valid for longer than the token of the request.
        UserNotFound: there is no such user.
    """
    wanted = validated(NewToken, body)
    _require_no_more(wanted.scope)
    with get_services().database.write() as session:
        user = _user(session, wanted.user)
        longest = _time_left(session) if user.id == principal().user_id else None
        return create_as(auditing.actor(), session, wanted, user, longest)


def create_as(
    by: Actor, session: Session, wanted: NewToken, user: User, longest: timedelta | None = None
) -> NewTokenView:
    """Create a token of a user, as somebody who may do so.

    Args:
        longest: how long it may be valid; None: for ever.

    Raises:
        Forbidden: it would be valid for longer.
    """
    expires_in = longest if wanted.expires_in_days is None else timedelta(days=wanted.expires_in_days)
    if longest is not None and expires_in is not None and expires_in > longest:
        raise Forbidden(
            f"The token of the request is valid for {longest / timedelta(days=1):.1f} more days; it cannot create one "
            f"that is valid for {wanted.expires_in_days}."
        )
    new = tokens.issue(session, wanted.name, user.id, scope=wanted.scope, expires_in=expires_in)
    data = {"name": wanted.name, "user": user.name, "scope": wanted.scope}
    audit.record(session, by, AuditAction.TOKEN_CREATE, new.row.id, data)
    return NewTokenView(**token_view(new.row, user.name).model_dump(), token=new.secret)


def read_tokens(name: str | None = None) -> list[TokenView]:
    """Return the tokens of the user who asks, or for admins those of the user with this name.

    Raises:
        Forbidden: they are somebody else's, and the one who asks is not an admin.
        UserNotFound: there is no such user.
    """
    with get_services().database.read() as session:
        user = _user(session, name)
        return [token_view(row, user.name) for row in tokens.list_all(session, user.id)]


@blueprint.delete("/<token_id>", summary="Revoke a token", responses={204: None, **problems(403, 404, 409)})
def revoke_token(path: TokenPath) -> Response:
    """From now on it is not valid. Browsers that were logged in with it are logged out."""
    revoke(path.token_id)
    return Response(status=204)


def revoke(token_id: str) -> None:
    """Revoke a token of the user who asks; admins revoke any.

    Raises:
        TokenNotFound: there is no valid one with this id.
        Conflict: it stands for the logins by the proxy.
    """
    who = principal()
    with get_services().database.write() as session:
        token = tokens.find(session, token_id)
        if token is None or not who.owns(token.user_id) or not tokens.revoke(session, token_id):
            raise TokenNotFound(f"There is no valid token with the id '{token_id}'.")
        if proxy_logins.is_token(token):
            raise Conflict(
                f"The token '{token.name}' stands for the logins of its user by the proxy; disable the user."
            )
        auditing.record(session, AuditAction.TOKEN_REVOKE, token_id, {"name": token.name})


def _user(session: Session, name: str | None) -> User:
    """Return the user who is meant: the one who asks, or for admins the one with this name.

    Raises:
        Forbidden: somebody else is meant, and the one who asks is not an admin.
        UserNotFound: there is no such user.
    """
    who = principal()
    if name is None or name == who.user:
        return users.get(session, who.user_id)
    if not who.is_admin:
        raise Forbidden(f"{who.user} is a {who.role}; the tokens of others are for admins.")
    return users.get(session, name)


def _time_left(session: Session) -> timedelta | None:
    """Return how long the token of the request is still valid; None: for ever."""
    expires_at = principal().token_expires_at
    return None if expires_at is None else expires_at - clock.now(session)


def _require_no_more(scope: Scope) -> None:
    who = principal()
    if not who.scope.includes(scope):
        raise Forbidden(f"The token '{who.token}' has the scope {who.scope}; it cannot create one with {scope}.")
