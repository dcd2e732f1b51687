"""Bearer tokens. Only their hashes are stored, so nobody who reads the database can use one."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from fitqueue.roles import Scope
from service import clock
from service.ids import new_id
from service.models import ADMIN_ID, Token, User

VALID: Final = (Token.revoked_at.is_(None), User.disabled_at.is_(None))
"""The conditions that a token, joined with its user, is valid as long as it has not expired."""


@dataclass(frozen=True)
class NewToken:
    """A token as it is created. `secret` must be shown now, because it cannot be read again."""

    row: Token
    secret: str


def create(session: Session, name: str, user_id: str = ADMIN_ID) -> str:
    """Create a token of a user that may do all that the user may, and return its secret."""
    return issue(session, name, user_id).secret


def issue(
    session: Session, name: str, user_id: str, *, scope: Scope = Scope.ALL, expires_in: timedelta | None = None
) -> NewToken:
    """Create a token of a user.

    Args:
        scope: what it may do of what the user may.
        expires_in: None: it does not expire.
    """
    secret, now = f"fq_{secrets.token_urlsafe(32)}", clock.now(session)
    row = Token(
        id=new_id("tok"),
        name=name,
        sha256=hash_of(secret),
        user_id=user_id,
        scope=scope,
        created_at=now,
        expires_at=None if expires_in is None else now + expires_in,
    )
    session.add(row)
    session.flush()
    return NewToken(row, secret)


def verify(session: Session, token: str) -> str | None:
    """Return the id of a valid token of a user who is not disabled, or None."""
    is_current = or_(Token.expires_at.is_(None), Token.expires_at > clock.now(session))
    query = select(Token.id).join(User, User.id == Token.user_id)
    return session.scalar(query.where(Token.sha256 == hash_of(token), *VALID, is_current))


def get(session: Session, token_id: str) -> Token:
    """Return the token with this id, which must exist."""
    return session.get_one(Token, token_id)


def find(session: Session, token_id: str) -> Token | None:
    """Return the token with this id."""
    return session.get(Token, token_id)


def ids_of(session: Session, name: str) -> Sequence[str]:
    """Return the ids of the tokens with this name, also of those that were revoked."""
    return session.scalars(select(Token.id).where(Token.name == name).order_by(Token.id)).all()


def list_all(session: Session, user_id: str | None = None) -> Sequence[Token]:
    """Return all tokens ever created, or those of one user, oldest first."""
    of_user = [] if user_id is None else [Token.user_id == user_id]
    return session.scalars(select(Token).where(*of_user).order_by(Token.id)).all()


def revoke(session: Session, token_id: str) -> bool:
    """Revoke a token; False if no valid token has this id."""
    row = session.execute(
        update(Token)
        .where(Token.id == token_id, Token.revoked_at.is_(None))
        .values(revoked_at=clock.now(session))
        .returning(Token.id)
    ).one_or_none()
    return row is not None


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
