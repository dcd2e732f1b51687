"""How the rows of users, projects and tokens become the API's answers."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from fitqueue.account_views import ProjectView, TokenView, UserView
from fitqueue.limits import Holdings, Limits, UserLimits
from service.models import Project, Token, User
from service.store import holdings, projects, retention


def user_views(session: Session, rows: Sequence[User]) -> list[UserView]:
    """Return users with what they have now."""
    usage = holdings.read(session, [row.id for row in rows], projects=False)
    return [_user_view(row, usage[row.id]) for row in rows]


def user_view(session: Session, row: User) -> UserView:
    return user_views(session, [row])[0]


def _user_view(row: User, usage: Holdings) -> UserView:
    return UserView(
        id=row.id,
        name=row.name,
        role=row.role,
        share=row.share,
        max_priority=row.max_priority,
        limits=UserLimits.model_validate(row.limits or {}),
        usage=usage,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


def project_views(session: Session, rows: Sequence[Project]) -> list[ProjectView]:
    """Return projects with their members and what they have now."""
    ids = [row.id for row in rows]
    members, usage = projects.members(session, ids), holdings.read(session, ids, projects=True)
    return [_project_view(row, members.get(row.id, []), usage[row.id]) for row in rows]


def project_view(session: Session, row: Project) -> ProjectView:
    return project_views(session, [row])[0]


def _project_view(row: Project, members: Sequence[str], usage: Holdings) -> ProjectView:
    return ProjectView(
        id=row.id,
        name=row.name,
        open=row.is_open,
        share=row.share,
        limits=Limits.model_validate(row.limits or {}),
        usage=usage,
        retention=retention.of_project(row),
        members=list(members),
        created_at=row.created_at,
    )


def token_view(row: Token, user: str) -> TokenView:
    return TokenView(
        id=row.id,
        name=row.name,
        user=user,
        scope=row.scope,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        last_used_from=row.last_used_from,
    )
