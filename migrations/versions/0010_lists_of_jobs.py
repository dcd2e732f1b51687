"""Who uploaded a data set, and what lists of jobs are filtered and sorted by."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_datasets_token_id_id": ("datasets", ["token_id", "id"]),
    "ix_jobs_finished_at_id": ("jobs", ["finished_at", "id"]),
    "ix_jobs_token_id_id": ("jobs", ["token_id", "id"]),
    "ix_jobs_dataset_id_id": ("jobs", ["dataset_id", "id"]),
    "ix_jobs_weights_dataset_id_id": ("jobs", ["weights_dataset_id", "id"]),
    "ix_jobs_builtin_dataset_id": ("jobs", ["builtin_dataset", "id"]),
}
_REPLACED = {"ix_jobs_dataset_id": ["dataset_id"], "ix_jobs_weights_dataset_id": ["weights_dataset_id"]}
"""The new indexes begin with the same columns."""


def upgrade() -> None:
    op.add_column("datasets", sa.Column("token_id", sa.String(64), nullable=True))
    op.add_column("jobs", sa.Column("builtin_dataset", sa.String(128), nullable=True))
    on_sqlite = op.get_context().dialect.name == "sqlite"
    for name, (table, columns) in _INDEXES.items():
        if on_sqlite:
            op.create_index(name, table, columns)
            continue
        with op.get_context().autocommit_block():
            op.create_index(name, table, columns, postgresql_concurrently=True)
    for name in _REPLACED:
        op.drop_index(name, "jobs")


def downgrade() -> None:
    for name, columns in _REPLACED.items():
        op.create_index(name, "jobs", columns)
    for name, (table, _) in _INDEXES.items():
        op.drop_index(name, table)
    op.drop_column("jobs", "builtin_dataset")
    op.drop_column("datasets", "token_id")
