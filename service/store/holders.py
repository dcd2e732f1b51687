"""Holders: the users and projects whose limits count for a job or a data set."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, String, bindparam, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from fitqueue.limits import Limits, UserLimits
from service.models import Dataset, Job, Project, User


@dataclass(frozen=True)
class Holder:
    """A user or a project that has limits."""

    id: str
    name: str
    is_project: bool
    limits: Limits

    def __str__(self) -> str:
        return f"the project '{self.name}'" if self.is_project else self.name

    @property
    def subject(self) -> str:
        """Its name as a sentence begins with it."""
        return f"The project '{self.name}'" if self.is_project else self.name


_USERS: Final = select(literal(False).label("is_project"), User.id, User.name, User.limits)
_PROJECTS: Final = select(literal(True).label("is_project"), Project.id, Project.name, Project.limits)
# They are built once: each claim needs the first one, and each new job the second one.
_LIMITED: Final = union_all(_USERS.where(User.limits.is_not(None)), _PROJECTS.where(Project.limits.is_not(None)))
_LIMITED_AMONG: Final = union_all(
    _USERS.where(User.limits.is_not(None), User.id == bindparam("user_id", type_=String)),
    _PROJECTS.where(Project.limits.is_not(None), Project.id == bindparam("project_id", type_=String)),
)


def all_limited(session: Session) -> list[Holder]:
    """Return all users and projects that have limits."""
    return [_holder(row) for row in session.execute(_LIMITED)]


def limited(session: Session, user_id: str, project_id: str) -> list[Holder]:
    """Return those of the two that have limits."""
    return [_holder(row) for row in session.execute(_LIMITED_AMONG, {"user_id": user_id, "project_id": project_id})]


def lock(session: Session, holders: Collection[Holder]) -> list[Holder]:
    """Keep other transactions that lock them waiting, and return them with the limits that they have now.

    Everywhere in one order, users before projects, or two transactions could wait for each other. SQLite has one writer
    at a time, so nothing needs to wait.
    """
    users = sorted(holder.id for holder in holders if not holder.is_project)
    projects = sorted(holder.id for holder in holders if holder.is_project)
    return [
        *(_locked(session, _USERS.where(User.id.in_(users)), User.id) if users else []),
        *(_locked(session, _PROJECTS.where(Project.id.in_(projects)), Project.id) if projects else []),
    ]


def ids_of(holders: Iterable[Holder], *, projects: bool) -> list[str]:
    """Return the ids of the projects, or of the users."""
    return sorted(holder.id for holder in holders if holder.is_project is projects)


def column(table: type[Job] | type[Dataset], *, projects: bool) -> InstrumentedAttribute[str]:
    """Return the column that says which project a row belongs to, or which user."""
    return table.project_id if projects else table.owner_id


def _locked(session: Session, query: Select[*tuple[Any, ...]], id: InstrumentedAttribute[str]) -> Sequence[Holder]:
    rows = session.execute(query.order_by(id).with_for_update(key_share=True))
    return [_holder(row) for row in rows]


def _holder(row: Any) -> Holder:
    kind = Limits if row.is_project else UserLimits
    return Holder(row.id, row.name, bool(row.is_project), kind.model_validate(row.limits or {}))
