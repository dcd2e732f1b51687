"""What the attempts of a job used, and what all attempts in a pool used."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SECONDS = ("attempt_seconds", "earlier_seconds", "attempt_cpu_seconds", "earlier_cpu_seconds")
_BYTES = (
    "attempt_peak_memory_bytes",
    "earlier_peak_memory_bytes",
    "attempt_peak_gpu_memory_bytes",
    "earlier_peak_gpu_memory_bytes",
)


def upgrade() -> None:
    for name in _SECONDS:
        op.add_column("jobs", sa.Column(name, sa.Double(), server_default="0", nullable=False))
    for name in _BYTES:
        op.add_column("jobs", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.execute("UPDATE jobs SET earlier_seconds = seconds_used WHERE seconds_used > 0")
    op.create_table(
        "pool_usage",
        sa.Column("pool", sa.String(64), nullable=False),
        sa.Column("gpu_seconds", sa.Double(), nullable=False),
        sa.Column("cpu_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("pool", name=op.f("pk_pool_usage")),
    )


def downgrade() -> None:
    op.drop_table("pool_usage")
    for name in reversed((*_SECONDS, *_BYTES)):
        op.drop_column("jobs", name)
