"""How long trainings take, for the forecast. Jobs of earlier versions have no key: nothing is known of them."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_COLUMNS = {
    "timing_key": sa.String(64),
    "work": sa.Double(),
    "may_end_early": sa.Boolean(),
    "seconds_per_epoch": sa.Double(),
    "paced_at": sa.DateTime(timezone=True),
}


def upgrade() -> None:
    for name, type in _COLUMNS.items():
        op.add_column("jobs", sa.Column(name, type, nullable=True))
    op.add_column("jobs", sa.Column("paced_epochs", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "training_times",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("pool", sa.String(64), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("work", sa.Double(), nullable=True),
        sa.Column("seconds_per_epoch", sa.Double(), nullable=False),
        sa.Column("start_seconds", sa.Double(), nullable=False),
        sa.Column("paced_epochs", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_training_times")),
    )
    op.create_index("ix_training_times_updated_at", "training_times", ["updated_at"])


def downgrade() -> None:
    op.drop_table("training_times")
    op.drop_column("jobs", "paced_epochs")
    for name in reversed(_COLUMNS):
        op.drop_column("jobs", name)
