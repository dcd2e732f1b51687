"""Indexes for the filters of the list of jobs."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEXES = {"ix_jobs_name_id": ["name", "id"], "ix_jobs_pool_id": ["pool", "id"]}


def upgrade() -> None:
    for name, columns in _INDEXES.items():
        if op.get_context().dialect.name == "sqlite":
            op.create_index(name, "jobs", columns)
            continue
        with op.get_context().autocommit_block():
            op.create_index(name, "jobs", columns, postgresql_concurrently=True)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "jobs")
