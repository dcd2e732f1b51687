"""The versions of workers, and the use of their GPUs."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("versions", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("workers", sa.Column("gpu_use", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("workers", "gpu_use")
    op.drop_column("workers", "versions")
