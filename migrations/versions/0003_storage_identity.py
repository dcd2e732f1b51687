"""The identity of the storage, and how often in a row a job met an outage of it.

Rules, since jobs run while this is applied:
 - it must work while the version before it still reads and writes: add first, take away one version later;
 - no index on a large table without `postgresql_concurrently=True` inside `op.get_context().autocommit_block()`;
 - no default that rewrites a table, no data moved in the transaction that changes tables.
`migrations/env.py` sets the lock timeout and lets one caller in at a time.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "storage_identity",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("number = 1", name=op.f("ck_storage_identity_only_one")),
        sa.PrimaryKeyConstraint("number", name="pk_storage_identity"),
    )
    # A constant default changes no row of a large table. The version before this one inserts rows without the column.
    op.add_column("jobs", sa.Column("outages", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("jobs", "outages")
    op.drop_table("storage_identity")
