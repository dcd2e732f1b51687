"""What a user may see: the jobs and data sets of the projects that are open to them, and what is their own."""

from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.roles import Role
from service.models import Dataset, Job, Project, ProjectMember


class Owned(Protocol):
    """What belongs to a user and a project."""

    @property
    def owner_id(self) -> str: ...

    @property
    def project_id(self) -> str: ...


@dataclass(frozen=True)
class Viewer:
    """A user who reads. `hidden` are the ids of the projects that are closed to them."""

    user_id: str
    hidden: frozenset[str] = frozenset()

    def sees(self, row: Owned) -> bool:
        return row.owner_id == self.user_id or row.project_id not in self.hidden

    def condition(self, table: type[Job] | type[Dataset]) -> list[ColumnElement[bool]]:
        """Return the condition that a row can be seen; none at all for somebody who sees everything."""
        if not self.hidden:
            return []
        return [or_(table.project_id.not_in(sorted(self.hidden)), table.owner_id == self.user_id)]


EVERYTHING: Final = Viewer("")
"""The viewer that workers and operators are."""


def viewer_of(session: Session, user_id: str, role: Role) -> Viewer:
    """Return what a user may see. Admins see everything."""
    if role is Role.ADMIN:
        return Viewer(user_id)
    is_member = select(ProjectMember.user_id).where(
        ProjectMember.project_id == Project.id, ProjectMember.user_id == user_id
    )
    closed = select(Project.id).where(Project.is_open.is_(False), ~is_member.exists())
    return Viewer(user_id, frozenset(session.scalars(closed)))
