"""${message}

Rules, since jobs run while this is applied:
 - it must work while the version before it still reads and writes: add first, take away one version later;
 - no index on a large table without `postgresql_concurrently=True` inside `op.get_context().autocommit_block()`;
 - no default that rewrites a table, no data moved in the transaction that changes tables.
`migrations/env.py` sets the lock timeout and lets one caller in at a time.
"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
