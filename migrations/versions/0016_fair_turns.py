"""What users and projects have used of late, and jobs that run on idle devices."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_QUEUED = sa.text("state = 'queued'")
_BY_AGE = sa.text("state = 'queued' AND reason IS NULL")
_HIGHEST_FIRST = sa.text("priority DESC")
_COLUMNS = ("turn_charge", "preempt_requested_at", "preemptible")


def upgrade() -> None:
    op.create_table(
        "turn_usage",
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("used", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=False),
        sa.Column("mean_seconds", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", name="pk_turn_usage"),
    )
    op.add_column("jobs", sa.Column("preemptible", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("preempt_requested_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("turn_charge", sa.Double(), nullable=False, server_default="0"))
    queue = {"ix_jobs_queued": (["pool", "preemptible", _HIGHEST_FIRST, "id"], _BY_AGE)}
    turns = ["pool", "project_id", "owner_id", "preemptible", _HIGHEST_FIRST, "id", "gpus"]
    _replace_index_of_queue(queue | {"ix_jobs_turns": (turns, _QUEUED)})


def downgrade() -> None:
    op.drop_index("ix_jobs_turns", "jobs")
    _replace_index_of_queue({"ix_jobs_queued": (["pool", _HIGHEST_FIRST, "id", "gpus"], _QUEUED)})
    for column in _COLUMNS:
        op.drop_column("jobs", column)
    op.drop_table("turn_usage")


def _replace_index_of_queue(indexes: dict[str, tuple[list[Any], sa.TextClause]]) -> None:
    if op.get_context().dialect.name == "sqlite":
        op.drop_index("ix_jobs_queued", "jobs")
        for name, (columns, where) in indexes.items():
            op.create_index(name, "jobs", columns, sqlite_where=where)
        return
    with op.get_context().autocommit_block():
        op.drop_index("ix_jobs_queued", "jobs", postgresql_concurrently=True)
        for name, (columns, where) in indexes.items():
            op.create_index(name, "jobs", columns, postgresql_where=where, postgresql_concurrently=True)
