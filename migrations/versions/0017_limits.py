"""Limits of users and projects."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

_TABLES = ("users", "projects")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("limits", sa.JSON(), nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "limits")
