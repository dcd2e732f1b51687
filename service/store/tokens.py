"""Bearer tokens. Only their hashes are stored, so nobody who reads the database can use one."""

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service import clock
from service.ids import new_id
from service.models import Token


def create(session: Session, name: str) -> str:
    """Create a token and return it. It must be shown now, because it cannot be read again."""
    token = f"fq_{secrets.token_urlsafe(32)}"
    session.add(Token(id=new_id("tok"), name=name, sha256=_hash(token), created_at=clock.now(session)))
    session.flush()
    return token


def verify(session: Session, token: str) -> str | None:
    """Return the id of a valid token, or None.

    A plain SHA-256 is enough, because a token has 256 random bits; and looking up the hash in an index tells an
    attacker nothing about how close a guess was.
    """
    return session.scalar(select(Token.id).where(Token.sha256 == _hash(token), Token.revoked_at.is_(None)))


def is_valid(session: Session, token_id: str) -> bool:
    """Tell whether the token with this id was not revoked."""
    return session.scalar(select(Token.id).where(Token.id == token_id, Token.revoked_at.is_(None))) is not None


def get(session: Session, token_id: str) -> Token:
    """Return the token with this id, which must exist."""
    return session.get_one(Token, token_id)


def ids_of(session: Session, name: str) -> Sequence[str]:
    """Return the ids of the tokens with this name, also of those that were revoked."""
    return session.scalars(select(Token.id).where(Token.name == name).order_by(Token.id)).all()


def names_of(session: Session, ids: Collection[str | None]) -> Mapping[str | None, str]:
    """Return the names of tokens by their ids, also of those that were revoked. An unknown id has none."""
    known = {id for id in ids if id is not None}
    if not known:
        return {}
    rows = session.execute(select(Token.id, Token.name).where(Token.id.in_(known)))
    return {row.id: row.name for row in rows}


def list_all(session: Session) -> Sequence[Token]:
    """Return all tokens ever created, oldest first."""
    return session.scalars(select(Token).order_by(Token.id)).all()


def revoke(session: Session, token_id: str) -> bool:
    """Revoke a token; False if no valid token has this id."""
    row = session.execute(
        update(Token)
        .where(Token.id == token_id, Token.revoked_at.is_(None))
        .values(revoked_at=clock.now(session))
        .returning(Token.id)
    ).one_or_none()
    return row is not None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
