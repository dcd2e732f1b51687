"""The wish to pause, extensions, attempts that end at the same place again and again, and writes done once."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("pause_requested_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("extended_at_epoch", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("extended_by_epochs", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("stalls", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("stalled_epoch", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("stalled_step", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("writes", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    for name in (
        "writes",
        "stalled_step",
        "stalled_epoch",
        "stalls",
        "extended_by_epochs",
        "extended_at_epoch",
        "pause_requested_at",
    ):
        op.drop_column("jobs", name)
