"""Users whom a login proxy names. Each has a token without a secret, by which jobs and events know them."""

import secrets
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fitqueue.audit_actions import AuditAction
from fitqueue.errors import Forbidden
from fitqueue.text import truncate
from service import clock
from service.models import Token, User
from service.store import audit, principals
from service.store.audit import Actor
from service.store.principals import Verified
from service.store.tokens import hash_of

NAME: Final = "proxy"
"""The name of the tokens."""

_PREFIX: Final = "tok_proxy_"


def find(session: Session, name: str) -> Verified | None:
    """Return the user with this name; None if they may not log in, or have not done so before."""
    user = _user(session, name)
    return None if user is None else principals.by_token_id(session, _token_id(user.id))


def begin(session: Session, name: str, address: str | None) -> Verified:
    """Create the token of the user with this name, unless there is one, and return the user.

    Raises:
        Forbidden: there is no such user, the user is disabled, or the token was revoked.
    """
    user = _user(session, name)
    if user is None:
        raise Forbidden(f"The login proxy names the user '{truncate(name, 100)}', whom this service does not know.")
    if user.disabled_at is not None:
        raise Forbidden(f"The user {user.name} is disabled.")
    if session.get(Token, _token_id(user.id)) is None:
        _create_token(session, user, address)
    found = principals.by_token_id(session, _token_id(user.id))
    if found is None:
        raise Forbidden(f"The token '{NAME}' of {user.name}, which stands for logins by the proxy, was revoked.")
    return found


def _user(session: Session, name: str) -> User | None:
    """Return the user with this name. PostgreSQL cannot compare anything with the character NUL."""
    return None if "\0" in name else session.scalar(select(User).where(User.name == name))


def is_token(token: Token) -> bool:
    """Tell whether a token stands for logins by a proxy."""
    return token.id.startswith(_PREFIX)


def _create_token(session: Session, user: User, address: str | None) -> None:
    token_id, nobody_knows = _token_id(user.id), secrets.token_urlsafe(32)
    token = Token(
        id=token_id,
        name=NAME,
        sha256=hash_of(nobody_knows),
        user_id=user.id,
        created_at=clock.now(session),
    )
    try:
        with session.begin_nested():
            session.add(token)
    except IntegrityError:
        return  # another request of the user was faster
    audit.record(
        session, Actor(user.id, user.name, token_id, address), AuditAction.TOKEN_CREATE, token_id, {"name": NAME}
    )


def _token_id(user_id: str) -> str:
    return _PREFIX + user_id.removeprefix("usr_")
