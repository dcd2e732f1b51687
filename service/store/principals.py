"""Who sends a request, by the token or the login session that it brings."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, String, bindparam, select, update
from sqlalchemy.orm import Session

from fitqueue.roles import Role, Scope
from fitqueue.spec import MAX_PRIORITY
from service import clock
from service.models import LoginSession, Token, User
from service.store import access
from service.store.access import Viewer
from service.store.tokens import VALID, hash_of

USE_RECORDED_EVERY: Final = timedelta(minutes=1)
"""How exactly the last use of a token or a session is known. A page asks once a second: not each time is a write."""


@dataclass(frozen=True)
class Principal:
    """A user, and the token that speaks for them."""

    user_id: str
    user: str
    """The user's name."""
    role: Role
    max_priority: int
    """The highest priority that the user may give to a job."""
    requests_per_minute: int | None
    """How many requests the user may send; None: any number."""
    token_id: str
    token: str
    """The token's name."""
    token_expires_at: datetime | None
    scope: Scope
    viewer: Viewer

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN

    def owns(self, owner_id: str) -> bool:
        """Tell whether the user may change what this user owns."""
        return self.is_admin or owner_id == self.user_id


@dataclass(frozen=True)
class Verified:
    """Who sends a request, and whether the use of their credential should be recorded."""

    principal: Principal
    is_use_due: bool


# Each request needs one of them, and they take longer to build than to run.
_COLUMNS: Final = (
    User.id.label("user_id"),
    User.name.label("user"),
    User.role,
    User.max_priority,
    User.limits,
    Token.id.label("token_id"),
    Token.name.label("token"),
    Token.scope,
    Token.expires_at,
)
_SHA256: Final = bindparam("sha256", type_=String)
_BY_TOKEN: Final = (
    select(*_COLUMNS, Token.last_used_at).join(User, User.id == Token.user_id).where(Token.sha256 == _SHA256, *VALID)
)
_BY_SESSION: Final = (
    select(*_COLUMNS, LoginSession.last_used_at)
    .join(Token, Token.id == LoginSession.token_id)
    .join(User, User.id == Token.user_id)
    .where(LoginSession.sha256 == _SHA256, *VALID)
)
_BY_ID: Final = (
    select(*_COLUMNS, Token.last_used_at)
    .join(User, User.id == Token.user_id)
    .where(Token.id == bindparam("token_id", type_=String), *VALID)
)


def of_token(session: Session, token: str) -> Verified | None:
    """Return whose token this is; None if it is not valid.

    A plain SHA-256 is enough, because a token has 256 random bits; and looking up the hash in an index tells an
    attacker nothing about how close a guess was.
    """
    return _verified(session, _BY_TOKEN, {"sha256": hash_of(token)})


def of_session(session: Session, secret: str, idle_timeout: timedelta) -> Verified | None:
    """Return who is logged in with this session; None if nobody used it in time, or if its token is not valid."""
    return _verified(session, _BY_SESSION, {"sha256": hash_of(secret)}, idle_timeout)


def by_token_id(session: Session, token_id: str) -> Verified | None:
    """Return whose token has this id; None if it is not valid."""
    return _verified(session, _BY_ID, {"token_id": token_id})


def of_token_id(session: Session, token_id: str) -> Principal | None:
    """Return whose token has this id, without when it was used; None if it is not valid."""
    verified = by_token_id(session, token_id)
    return None if verified is None else verified.principal


def record_use(session: Session, principal: Principal, address: str | None) -> None:
    """Record that a token is used now, from this address."""
    session.execute(
        update(Token)
        .where(Token.id == principal.token_id)
        .values(last_used_at=clock.now(session), last_used_from=address)
    )


def _verified(
    session: Session, query: Select[*tuple[Any, ...]], parameters: dict[str, str], idle_timeout: timedelta | None = None
) -> Verified | None:
    row = session.execute(query, parameters).one_or_none()
    if row is None:
        return None
    ends_at = [row.expires_at] if row.expires_at is not None else []
    if idle_timeout is not None:
        ends_at.append(row.last_used_at + idle_timeout)
    if ends_at and min(ends_at) <= clock.now(session):
        return None
    return Verified(_principal(session, row), _is_due(row.last_used_at))


def _is_due(last_used_at: datetime | None) -> bool:
    """Tell whether this was long ago. The clock of this process is exact enough."""
    return last_used_at is None or datetime.now(UTC) - last_used_at > USE_RECORDED_EVERY


def _principal(session: Session, row: Any) -> Principal:
    return Principal(
        user_id=row.user_id,
        user=row.user,
        role=row.role,
        max_priority=MAX_PRIORITY if row.role is Role.ADMIN else row.max_priority,
        requests_per_minute=(row.limits or {}).get("requests_per_minute"),
        token_id=row.token_id,
        token=row.token,
        token_expires_at=row.expires_at,
        scope=row.scope,
        viewer=access.viewer_of(session, row.user_id, row.role),
    )
