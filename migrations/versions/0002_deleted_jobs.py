"""Jobs that a user has deleted, and whose rows and files are deleted in steps."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INDEX = "ix_jobs_deleted"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    condition = sa.text("deleted_at IS NOT NULL")
    options = {"sqlite_where": condition, "postgresql_where": condition}
    if op.get_context().dialect.name == "sqlite":
        op.create_index(_INDEX, "jobs", ["deleted_at", "id"], **options)
        return
    with op.get_context().autocommit_block():
        op.create_index(_INDEX, "jobs", ["deleted_at", "id"], postgresql_concurrently=True, **options)


def downgrade() -> None:
    # The version before knows nothing of deleted jobs, and would show them again.
    op.execute("DELETE FROM jobs WHERE deleted_at IS NOT NULL")
    op.drop_index(_INDEX, "jobs")
    op.drop_column("jobs", "deleted_at")
