"""How browsers are logged in: sessions that a cookie stands for, and links that log in once. Only hashes are stored."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import String, bindparam, delete, select, update
from sqlalchemy.orm import Session

from service import clock
from service.models import LoginLink, LoginSession, Token

LINK_TIMEOUT: Final = timedelta(days=1)
"""How long a link may be used."""

RENEWAL: Final = timedelta(minutes=1)
"""How exactly the last use of a session is known. A page asks once a second: not each time is a write."""

# Each request of a browser needs it, and it takes longer to build than to run.
_SESSION: Final = (
    select(LoginSession.token_id, LoginSession.last_used_at)
    .join(Token, Token.id == LoginSession.token_id)
    .where(LoginSession.sha256 == bindparam("sha256", type_=String), Token.revoked_at.is_(None))
)


def begin(session: Session, token_id: str, idle_timeout: timedelta) -> str:
    """Begin a session for a token, and return what its cookie holds. Delete the sessions that nobody used in time."""
    now = clock.now(session)
    session.execute(delete(LoginSession).where(LoginSession.last_used_at < now - idle_timeout))
    secret = secrets.token_urlsafe(32)
    session.add(LoginSession(sha256=_hash(secret), token_id=token_id, created_at=now, last_used_at=now))
    session.flush()
    return secret


def verify(session: Session, secret: str, idle_timeout: timedelta) -> tuple[str, bool] | None:
    """Return the id of the session's token, and whether its use should be recorded by `renew`.

    None if there is no such session, if nobody used it in time, or if its token was revoked.
    """
    row = session.execute(_SESSION, {"sha256": _hash(secret)}).one_or_none()
    if row is None:
        return None
    idle = clock.now(session) - row.last_used_at
    return None if idle > idle_timeout else (row.token_id, idle > RENEWAL)


def renew(session: Session, secret: str) -> None:
    """Record that a session is used now."""
    session.execute(
        update(LoginSession).where(LoginSession.sha256 == _hash(secret)).values(last_used_at=clock.now(session))
    )


def end(session: Session, secret: str) -> None:
    """Delete a session, if there is one."""
    session.execute(delete(LoginSession).where(LoginSession.sha256 == _hash(secret)))


def create_link(session: Session, token_id: str) -> tuple[str, datetime]:
    """Return the secret of a new link, and until when it can be used. Delete the links that are too old."""
    now = clock.now(session)
    session.execute(delete(LoginLink).where(LoginLink.expires_at < now))
    secret, expires_at = secrets.token_urlsafe(32), now + LINK_TIMEOUT
    session.add(LoginLink(sha256=_hash(secret), token_id=token_id, expires_at=expires_at))
    session.flush()
    return secret, expires_at


def use_link(session: Session, secret: str) -> str | None:
    """Delete a link, and return the id of its token.

    None if it was used before, if it is too old, or if its token was revoked.
    """
    link = session.execute(
        delete(LoginLink).where(LoginLink.sha256 == _hash(secret)).returning(LoginLink.token_id, LoginLink.expires_at)
    ).one_or_none()
    if link is None or link.expires_at < clock.now(session):
        return None
    return session.scalar(select(Token.id).where(Token.id == link.token_id, Token.revoked_at.is_(None)))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
