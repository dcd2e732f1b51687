"""How the rows of users, projects and tokens become the API's answers."""

from collections.abc import Sequence

from fitqueue.account_views import ProjectView, TokenView, UserView
from service.models import Project, Token, User


def user_view(row: User) -> UserView:
    return UserView(
        id=row.id,
        name=row.name,
        role=row.role,
        share=row.share,
        max_priority=row.max_priority,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


def project_view(row: Project, members: Sequence[str]) -> ProjectView:
    return ProjectView(
        id=row.id,
        name=row.name,
        open=row.is_open,
        share=row.share,
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
