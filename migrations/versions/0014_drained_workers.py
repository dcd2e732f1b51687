"""How long jobs may be queued, and workers that drain."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_INDEX = "ix_jobs_not_after"
_DRAIN = ("draining_since", "drains_until")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("max_queued_seconds", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("not_after", sa.DateTime(timezone=True), nullable=True))
    for name in _DRAIN:
        op.add_column("workers", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    condition = sa.text("not_after IS NOT NULL")
    if op.get_context().dialect.name == "sqlite":
        op.create_index(_INDEX, "jobs", ["not_after"], sqlite_where=condition)
        return
    with op.get_context().autocommit_block():
        op.create_index(_INDEX, "jobs", ["not_after"], postgresql_where=condition, postgresql_concurrently=True)


def downgrade() -> None:
    op.drop_index(_INDEX, "jobs")
    for name in reversed(_DRAIN):
        op.drop_column("workers", name)
    op.drop_column("jobs", "not_after")
    op.drop_column("jobs", "max_queued_seconds")
