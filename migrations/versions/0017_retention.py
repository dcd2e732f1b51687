"""How long projects keep what ended jobs have left, bounded logs, and what each user's jobs in a project used."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SET_WEIGHTS = "UPDATE jobs SET weights_job_id = spec #>> '{initial_weights,job}' WHERE finished_at IS NULL"
_SET_WEIGHTS_ON_SQLITE = (
    "UPDATE jobs SET weights_job_id = json_extract(spec, '$.initial_weights.job') WHERE finished_at IS NULL"
)
# All that was used before there were users is the admin's, as the jobs are.
_TAKE_OVER_USE = (
    "INSERT INTO owner_usage (owner_id, project_id, gpu_seconds, cpu_seconds) "
    "SELECT 'usr_admin', 'prj_lab', sum(gpu_seconds), sum(cpu_seconds) FROM pool_usage HAVING count(*) > 0"
)
_DUE = "ix_jobs_retention_due_at"
_WEIGHTS = "ix_jobs_weights_job_id"
_HAS_DUE = sa.text("retention_due_at IS NOT NULL")
_MAY_NEED_WEIGHTS = sa.text("weights_job_id IS NOT NULL AND finished_at IS NULL")


def upgrade() -> None:
    op.add_column("projects", sa.Column("retention", sa.JSON(), nullable=True))
    op.add_column("projects", sa.Column("retention_cursor", sa.String(64), nullable=True))
    for column in _columns_of_jobs():
        op.add_column("jobs", column)
    # The workers then date the jobs that have ended already, some at a time.
    op.execute("UPDATE projects SET retention_cursor = ''")
    op.execute(_SET_WEIGHTS_ON_SQLITE if _is_sqlite() else _SET_WEIGHTS)
    op.create_table(
        "owner_usage",
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("gpu_seconds", sa.Double(), server_default="0", nullable=False),
        sa.Column("cpu_seconds", sa.Double(), server_default="0", nullable=False),
        sa.Column("deleted_jobs", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "project_id", name="pk_owner_usage"),
    )
    op.execute(_TAKE_OVER_USE)
    if _is_sqlite():
        op.create_index(_DUE, "jobs", ["retention_due_at", "id"], sqlite_where=_HAS_DUE)
        op.create_index(_WEIGHTS, "jobs", ["weights_job_id"], sqlite_where=_MAY_NEED_WEIGHTS)
        return
    with op.get_context().autocommit_block():
        concurrently = {"postgresql_concurrently": True}
        op.create_index(_DUE, "jobs", ["retention_due_at", "id"], postgresql_where=_HAS_DUE, **concurrently)
        op.create_index(_WEIGHTS, "jobs", ["weights_job_id"], postgresql_where=_MAY_NEED_WEIGHTS, **concurrently)


def downgrade() -> None:
    op.drop_index(_WEIGHTS, "jobs")
    op.drop_index(_DUE, "jobs")
    op.drop_table("owner_usage")
    for column in reversed(_columns_of_jobs()):
        op.drop_column("jobs", column.name)
    op.drop_column("projects", "retention_cursor")
    op.drop_column("projects", "retention")


def _columns_of_jobs() -> list[sa.Column[object]]:
    return [
        sa.Column("log_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("log_lines_left_out", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("weights_job_id", sa.String(64), nullable=True),
        sa.Column("keep", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("removed", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("retention_due_at", sa.DateTime(timezone=True), nullable=True),
    ]


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
