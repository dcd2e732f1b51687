"""Users, projects, and whose jobs, data sets and tokens there are.

All that was stored before belongs to the user `admin`, in the project `lab`.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_ADMIN, _LAB = "usr_admin", "prj_lab"
_OWNED = ("jobs", "datasets")
_COLUMNS = ("owner_id", "project_id")
_TOKEN_COLUMNS = ("user_id", "scope", "expires_at", "last_used_at", "last_used_from")


def upgrade() -> None:
    users = _create_users()
    projects = _create_projects()
    op.create_table(
        "project_members",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_project_members_project_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_project_members_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "user_id", name="pk_project_members"),
    )
    op.create_index("ix_project_members_user_id", "project_members", ["user_id"])
    now = datetime.now(UTC).replace(tzinfo=None) if _is_sqlite() else datetime.now(UTC)
    op.bulk_insert(users, [{"id": _ADMIN, "name": "admin", "role": "admin", "created_at": now}])
    op.bulk_insert(projects, [{"id": _LAB, "name": "lab", "created_at": now}])
    op.add_column("tokens", sa.Column("user_id", sa.String(64), nullable=False, server_default=_ADMIN))
    op.add_column("tokens", sa.Column("scope", sa.String(32), nullable=False, server_default="all"))
    op.add_column("tokens", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("tokens", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("tokens", sa.Column("last_used_from", sa.String(64), nullable=True))
    for table in _OWNED:
        op.add_column(table, sa.Column("owner_id", sa.String(64), nullable=False, server_default=_ADMIN))
        op.add_column(table, sa.Column("project_id", sa.String(64), nullable=False, server_default=_LAB))
    if _is_sqlite():
        _create_indexes()
        return
    with op.get_context().autocommit_block():
        _create_indexes(postgresql_concurrently=True)


def downgrade() -> None:
    op.drop_index("ix_tokens_user_id_id", "tokens")
    for table in _OWNED:
        for column in _COLUMNS:
            op.drop_index(f"ix_{table}_{column}_id", table)
            op.drop_column(table, column)
    for column in _TOKEN_COLUMNS:
        op.drop_column("tokens", column)
    for table in ("project_members", "projects", "users"):
        op.drop_table(table)


def _create_users() -> sa.Table:
    return op.create_table(
        "users",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("share", sa.Double(), nullable=False, server_default="1"),
        sa.Column("max_priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('admin', 'member', 'viewer')", name="role_known"),
        sa.CheckConstraint("share > 0", name="share_positive"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )


def _create_projects() -> sa.Table:
    return op.create_table(
        "projects",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("share", sa.Double(), nullable=False, server_default="1"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("share > 0", name="share_positive"),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("name", name="uq_projects_name"),
    )


def _create_indexes(**options: bool) -> None:
    op.create_index("ix_tokens_user_id_id", "tokens", ["user_id", "id"], **options)
    for table in _OWNED:
        for column in _COLUMNS:
            op.create_index(f"ix_{table}_{column}_id", table, [column, "id"], **options)


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
