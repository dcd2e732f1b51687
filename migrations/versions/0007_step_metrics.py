"""The metrics of running epochs, and the series within long ones."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("running_metrics", sa.JSON()))
    op.add_column("jobs", sa.Column("step_points", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "step_metrics",
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_step_metrics_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "ordinal", name="pk_step_metrics"),
    )


def downgrade() -> None:
    op.drop_table("step_metrics")
    for name in ("step_points", "running_metrics"):
        op.drop_column("jobs", name)
