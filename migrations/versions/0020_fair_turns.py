"""What users and projects have used of late, and jobs that run on idle devices."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_COLUMNS = ("turn_charge", "preempt_requested_at", "preemptible")
_QUEUE, _NEW_QUEUE, _TURNS = "ix_jobs_queued", "ix_jobs_queued_new", "ix_jobs_turns"
_HIGHEST_FIRST = sa.text("priority DESC")
_OWNED = ("owner_id", "project_id")
_IS_QUEUED = "state = 'queued'"
# A claim does not say that `reason` is NULL, and so does not use the queue by age.
_IS_QUEUED_BY_AGE = "state = 'queued' AND reason IS NULL"


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
    _create_index(_TURNS, "pool", "project_id", "owner_id", "preemptible", _HIGHEST_FIRST, "id", "gpus")
    _replace_queue(_IS_QUEUED_BY_AGE, "pool", "preemptible", _HIGHEST_FIRST, "id", "gpus", *_OWNED)


def downgrade() -> None:
    _replace_queue(_IS_QUEUED, "pool", _HIGHEST_FIRST, "id", "gpus", *_OWNED)
    op.drop_index(_TURNS, "jobs")
    for column in _COLUMNS:
        op.drop_column("jobs", column)
    op.drop_table("turn_usage")


def _create_index(name: str, *columns: str | sa.TextClause, where: str = _IS_QUEUED) -> None:
    """Create an index. What an interrupted migration has left is replaced."""
    condition = sa.text(where)
    if _is_sqlite():
        op.create_index(name, "jobs", columns, sqlite_where=condition)
        return
    with op.get_context().autocommit_block():
        op.drop_index(name, "jobs", if_exists=True, postgresql_concurrently=True)
        op.create_index(name, "jobs", columns, postgresql_where=condition, postgresql_concurrently=True)


def _replace_queue(where: str, *columns: str | sa.TextClause) -> None:
    """Replace the index of the queue. On PostgreSQL, which others write to meanwhile, there is one all the time."""
    if _is_sqlite():
        op.drop_index(_QUEUE, "jobs")
        _create_index(_QUEUE, *columns, where=where)
        return
    _create_index(_NEW_QUEUE, *columns, where=where)
    with op.get_context().autocommit_block():
        op.drop_index(_QUEUE, "jobs", if_exists=True, postgresql_concurrently=True)
        op.execute(f"ALTER INDEX {_NEW_QUEUE} RENAME TO {_QUEUE}")


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
