"""Bearer tokens. Only their hash is stored: who reads the database can use none."""

import hashlib
import secrets
from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service import clock
from service.ids import new_id
from service.models import Token


def create(session: Session, name: str) -> str:
    """A new token, to be shown once: it cannot be read again."""
    token = f"fq_{secrets.token_urlsafe(32)}"
    session.add(Token(id=new_id("tok"), name=name, sha256=_hash(token), created_at=clock.now(session)))
    session.flush()
    return token


def verify(session: Session, token: str) -> str | None:
    """The id of a valid token, else None.

    A plain SHA-256 is enough, since a token is 256 random bits; looking up the hash in an index tells a guesser nothing
    about how near the guess was.
    """
    return session.scalar(select(Token.id).where(Token.sha256 == _hash(token), Token.revoked_at.is_(None)))


def list_all(session: Session) -> Sequence[Token]:
    """All tokens ever made, oldest first."""
    return session.scalars(select(Token).order_by(Token.id)).all()


def revoke(session: Session, token_id: str) -> bool:
    """False where there is no valid token of this id."""
    revoked = session.execute(
        update(Token)
        .where(Token.id == token_id, Token.revoked_at.is_(None))
        .values(revoked_at=clock.now(session))
        .returning(Token.id)
    ).one_or_none()
    return revoked is not None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
