"""Whose a job or a data set is, by the names that users know."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from sqlalchemy import String, bindparam, select, union_all
from sqlalchemy.orm import Session

from service.models import Project, Token, User


class OwnedRow(Protocol):
    """A row with the ids of its owner, its project, and the token that it came with."""

    @property
    def owner_id(self) -> str: ...

    @property
    def project_id(self) -> str: ...

    @property
    def token_id(self) -> str | None: ...


class Ownership(NamedTuple):
    """The names of a row's owner, of its project, and of the token that it came with. None: nobody knows."""

    owner: str | None
    project: str | None
    submitted_by: str | None


NOBODY: Final = Ownership(None, None, None)

# Each poll of a job needs it, and it takes longer to build than to run. The ids of the three tables differ.
_NAMES: Final = union_all(
    *(
        select(table.id, table.name).where(table.id.in_(bindparam(table.__tablename__, expanding=True, type_=String)))
        for table in (User, Project, Token)
    )
)


def read(session: Session, rows: Sequence[OwnedRow]) -> list[Ownership]:
    """Return whose each row is, in their order. Tokens keep their names after they were revoked."""
    if not rows:
        return []
    ids = {
        User.__tablename__: sorted({row.owner_id for row in rows}),
        Project.__tablename__: sorted({row.project_id for row in rows}),
        Token.__tablename__: sorted({row.token_id for row in rows if row.token_id is not None}),
    }
    names: dict[str | None, str] = {row.id: row.name for row in session.execute(_NAMES, ids)}
    return [Ownership(names.get(row.owner_id), names.get(row.project_id), names.get(row.token_id)) for row in rows]
