"""The last use of data sets and what was sent for them; checkpoints with an optimizer."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEX = "ix_datasets_sent_sha256"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("sent_sha256", sa.String(64), nullable=True))
    op.add_column("datasets", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(_INDEX, "datasets", ["sent_sha256"])
    # What was uploaded without a name long ago is not deleted at once.
    datasets = sa.table("datasets", sa.column("last_used_at"))
    op.execute(sa.update(datasets).values(last_used_at=sa.func.now()))
    op.add_column("checkpoints", sa.Column("has_optimizer", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("checkpoints", "has_optimizer")
    op.drop_index(_INDEX, "datasets")
    op.drop_column("datasets", "last_used_at")
    op.drop_column("datasets", "sent_sha256")
