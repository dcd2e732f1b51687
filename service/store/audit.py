"""The audit log: who did what, when and from where. A row is added in the transaction of the action."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.orm import Session

from fitqueue.audit_actions import AuditAction
from service import clock
from service.models import AuditEntry


@dataclass(frozen=True)
class Actor:
    """Who does something.

    Attributes:
        user_id: None: somebody with a command on the database.
        user: the user's name.
        address: that of the client.
    """

    user_id: str | None
    user: str
    token_id: str | None = None
    address: str | None = None


OPERATOR: Final = Actor(None, "operator")
"""Whoever runs a command on the database."""


@dataclass(frozen=True)
class AuditFilter:
    """Which entries a list has: those that meet all of it.

    Attributes:
        user: by the user with this name.
        action: one action, or the kind of its target.
        target: done to what has this id.
        since: at this time or later.
    """

    user: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found = [] if self.user is None else [AuditEntry.user == self.user]
        if self.action is not None:
            found.append(or_(AuditEntry.action == self.action, AuditEntry.target_kind == self.action))
        if self.target is not None:
            found.append(AuditEntry.target_id == self.target)
        if self.since is not None:
            found.append(AuditEntry.at >= self.since)
        return found


def record(
    session: Session, actor: Actor, action: AuditAction, target_id: str, data: dict[str, Any] | None = None
) -> None:
    """Record an action in its own transaction: neither is ever there without the other.

    Args:
        actor: who does it.
        action: what they do.
        target_id: the id of what they do it to.
        data: what else matters. It must not have a secret.
    """
    session.add(
        AuditEntry(
            at=clock.now(session),
            user_id=actor.user_id,
            user=actor.user,
            token_id=actor.token_id,
            address=actor.address,
            action=str(action),
            target_kind=action.target_kind,
            target_id=target_id,
            data=data or {},
        )
    )
    session.flush()


def list_page(
    session: Session, filter: AuditFilter, before: int | None, limit: int
) -> tuple[Sequence[AuditEntry], int | None]:
    """Return a page of entries, newest first, and the cursor of the next page."""
    query = select(AuditEntry).where(*filter.conditions()).order_by(AuditEntry.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    rows = session.scalars(query).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def delete_old(session: Session, before: datetime, limit: int) -> int:
    """Delete some entries that are older; return how many."""
    old = select(AuditEntry.id).where(AuditEntry.at < before).order_by(AuditEntry.at).limit(limit)
    deleted = session.execute(
        delete(AuditEntry)
        .where(AuditEntry.id.in_(old))
        .returning(AuditEntry.id)
        .execution_options(synchronize_session=False)
    )
    return len(deleted.all())
