"""Users. They are disabled and never deleted, because jobs refer to them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fitqueue.errors import LastAdmin, NameTaken, UserNotFound
from fitqueue.limits import UserLimits, merged
from fitqueue.roles import Role
from service import clock
from service.ids import new_id
from service.models import User


def create(session: Session, name: str, role: Role, limits: UserLimits | None = None) -> User:
    """Create a user, with the limits that they begin with.

    Raises:
        NameTaken: another user has this name, also one that is disabled.
    """
    begins_with = merged(None, limits)
    user = User(id=new_id("usr"), name=name, role=role, limits=begins_with, created_at=clock.now(session))
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError as error:
        raise NameTaken(f"Another user already has the name '{name}'.") from error
    return user


def find(session: Session, reference: str) -> User | None:
    """Return the user with this name or id."""
    return session.scalar(select(User).where(or_(User.name == reference, User.id == reference)))


def get(session: Session, reference: str) -> User:
    """Return the user with this name or id.

    Raises:
        UserNotFound: there is none.
    """
    user = find(session, reference)
    if user is None:
        raise UserNotFound(f"There is no user '{reference}'.")
    return user


def list_all(session: Session) -> Sequence[User]:
    """Return all users by name, those that are disabled, too."""
    return session.scalars(select(User).order_by(User.name)).all()


def names_of(session: Session, ids: Collection[str]) -> Mapping[str, str]:
    """Return the names of users by their ids."""
    if not ids:
        return {}
    return {row.id: row.name for row in session.execute(select(User.id, User.name).where(User.id.in_(set(ids))))}


def change(session: Session, reference: str, changes: Mapping[str, Any], *, disabled: bool | None = None) -> User:
    """Change columns of a user, and disable or enable them. The tokens of a disabled user are not valid.

    Raises:
        UserNotFound: there is no such user.
        LastAdmin: no admin would be left.
    """
    user = get(session, reference)
    session.refresh(user, with_for_update=True)
    for name, value in changes.items():
        setattr(user, name, value)
    if disabled is not None:
        user.disabled_at = (user.disabled_at or clock.now(session)) if disabled else None
    session.flush()
    admins = select(User.id).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
    if not session.scalar(select(exists(admins))):
        raise LastAdmin(f"{user.name} is the last admin: make somebody else one first.")
    return user
