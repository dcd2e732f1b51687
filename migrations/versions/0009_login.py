"""Login sessions of browsers, and links that log in once."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "login_sessions",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("token_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name="fk_login_sessions_token_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sha256", name="pk_login_sessions"),
    )
    op.create_index("ix_login_sessions_last_used_at", "login_sessions", ["last_used_at"])
    op.create_table(
        "login_links",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("token_id", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name="fk_login_links_token_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sha256", name="pk_login_links"),
    )
    op.create_index("ix_login_links_expires_at", "login_links", ["expires_at"])


def downgrade() -> None:
    op.drop_table("login_links")
    op.drop_table("login_sessions")
