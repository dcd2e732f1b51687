"""How browsers are logged in: sessions that a cookie stands for, and links that log in once. Only hashes are stored."""

import secrets
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from service import clock
from service.models import LoginLink, LoginSession
from service.store import principals
from service.store.principals import Principal
from service.store.tokens import hash_of

LINK_TIMEOUT: Final = timedelta(days=1)
"""How long a link may be used."""


def begin(session: Session, token_id: str, idle_timeout: timedelta) -> str:
    """Begin a session for a token, and return what its cookie holds. Delete the sessions that nobody used in time."""
    now = clock.now(session)
    session.execute(delete(LoginSession).where(LoginSession.last_used_at < now - idle_timeout))
    secret = secrets.token_urlsafe(32)
    session.add(LoginSession(sha256=hash_of(secret), token_id=token_id, created_at=now, last_used_at=now))
    session.flush()
    return secret


def renew(session: Session, secret: str) -> None:
    """Record that a session is used now."""
    session.execute(
        update(LoginSession).where(LoginSession.sha256 == hash_of(secret)).values(last_used_at=clock.now(session))
    )


def end(session: Session, secret: str) -> Principal | None:
    """Delete a session; return who was logged in with it. None if there is no such session."""
    query = delete(LoginSession).where(LoginSession.sha256 == hash_of(secret)).returning(LoginSession.token_id)
    token_id = session.scalar(query)
    return None if token_id is None else principals.of_token_id(session, token_id)


def create_link(session: Session, token_id: str) -> tuple[str, datetime]:
    """Return the secret of a new link, and until when it can be used. Delete the links that are too old."""
    now = clock.now(session)
    session.execute(delete(LoginLink).where(LoginLink.expires_at < now))
    secret, expires_at = secrets.token_urlsafe(32), now + LINK_TIMEOUT
    session.add(LoginLink(sha256=hash_of(secret), token_id=token_id, expires_at=expires_at))
    session.flush()
    return secret, expires_at


def use_link(session: Session, secret: str) -> Principal | None:
    """Delete a link, and return whom it logs in.

    None if it was used before, if it is too old, or if its token is not valid.
    """
    link = session.execute(
        delete(LoginLink).where(LoginLink.sha256 == hash_of(secret)).returning(LoginLink.token_id, LoginLink.expires_at)
    ).one_or_none()
    if link is None or link.expires_at < clock.now(session):
        return None
    return principals.of_token_id(session, link.token_id)
