"""Limits of users and projects, and whose the queued jobs are in the index of the queue."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TABLES = ("users", "projects")
_INDEX, _NEW_INDEX = "ix_jobs_queued", "ix_jobs_queued_new"
_COLUMNS = ("pool", sa.text("priority DESC"), "id", "gpus")
_OWNED = ("owner_id", "project_id")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("limits", sa.JSON(), nullable=True))
    _replace_index(*_COLUMNS, *_OWNED)


def downgrade() -> None:
    _replace_index(*_COLUMNS)
    for table in _TABLES:
        op.drop_column(table, "limits")


def _replace_index(*columns: str | sa.TextClause) -> None:
    condition = sa.text("state = 'queued'")
    if op.get_context().dialect.name == "sqlite":
        op.drop_index(_INDEX, "jobs")
        op.create_index(_INDEX, "jobs", columns, sqlite_where=condition)
        return
    # The queue has an index all the time. What an interrupted migration has left is replaced.
    with op.get_context().autocommit_block():
        op.drop_index(_NEW_INDEX, "jobs", if_exists=True, postgresql_concurrently=True)
        op.create_index(_NEW_INDEX, "jobs", columns, postgresql_where=condition, postgresql_concurrently=True)
        op.drop_index(_INDEX, "jobs", if_exists=True, postgresql_concurrently=True)
        op.execute(f"ALTER INDEX {_NEW_INDEX} RENAME TO {_INDEX}")
