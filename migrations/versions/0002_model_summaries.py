"""What Keras found of a job's model when the job was checked."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("model_summary", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "model_summary")
