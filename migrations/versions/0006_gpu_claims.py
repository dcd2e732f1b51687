"""Which job holds which GPU, which GPUs a worker sees, and the queue's index with the GPUs that jobs need."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _replace_index("ix_jobs_queue", "ix_jobs_waiting", "gpus")
    op.create_table(
        "gpu_claims",
        sa.Column("gpu_uuid", sa.String(length=96), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_gpu_claims_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("gpu_uuid", name="pk_gpu_claims"),
    )
    op.create_index("ix_gpu_claims_job_id", "gpu_claims", ["job_id"])
    op.add_column("workers", sa.Column("gpu_uuids", sa.JSON(), nullable=False, server_default="[]"))
    op.drop_column("workers", "gpus")  # which was their number


def downgrade() -> None:
    _replace_index("ix_jobs_waiting", "ix_jobs_queue")
    op.add_column("workers", sa.Column("gpus", sa.Integer(), nullable=False, server_default="0"))
    op.drop_column("workers", "gpu_uuids")
    op.drop_table("gpu_claims")


def _replace_index(old: str, new: str, *more: str) -> None:
    """Not concurrently on PostgreSQL: that ends the transaction, and with it the lock of this migration."""
    waiting = sa.text("state = 'queued'")
    columns = ["pool", sa.text("priority DESC"), "id", *more]
    op.create_index(new, "jobs", columns, sqlite_where=waiting, postgresql_where=waiting)
    op.drop_index(old, "jobs")
