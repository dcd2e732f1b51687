"""Records what the user of a request does, in the transaction in which it is done."""

from flask import request
from sqlalchemy.orm import Session

from fitqueue.account_views import ProjectView, UserView
from fitqueue.audit_actions import AuditAction
from service.api.context import principal
from service.store import audit
from service.store.audit import Actor
from service.store.principals import Principal


def record(
    session: Session,
    action: AuditAction,
    target_id: str,
    data: dict[str, object] | None = None,
    *,
    by: Principal | None = None,
) -> None:
    """Record an action of the request's user.

    Args:
        session: the session that does it.
        action: what the user does.
        target_id: the id of what it is done to.
        data: what else matters. It must not have a secret.
        by: who does it, where a request logs somebody in or out.
    """
    audit.record(session, actor(by), action, target_id, data)


def actor(by: Principal | None = None) -> Actor:
    """Return the request's user as the audit log names them, or who logs in or out with it."""
    who = principal() if by is None else by
    return Actor(who.user_id, who.user, who.token_id, request.remote_addr)


def record_change(
    session: Session,
    by: Actor,
    action: AuditAction,
    before: UserView | ProjectView,
    after: UserView | ProjectView,
) -> None:
    """Record what somebody changed of a user or project, if anything: each field's old and new value."""
    old, new = (view.model_dump(mode="json", exclude={"usage"}) for view in (before, after))
    changes = {name: {"from": old[name], "to": new[name]} for name in new if new[name] != old[name]}
    if changes:
        audit.record(session, by, action, after.id, {"name": after.name, "changes": changes})
