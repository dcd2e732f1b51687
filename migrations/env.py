"""How migrations run: on the connection that `service.migrate.upgrade` gives, one caller at a time."""

import time

from alembic import context
from sqlalchemy import Connection, text

from service.models import Base

_LOCK = 0x6669747175657565  # «fitqueue»: any number does, as long as it is always the same
_LOCK_SECONDS = 0.2


def run(connection: Connection) -> None:
    on_sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=not on_sqlite,
        # Else Alembic would commit after each migration, and so release SQLite's lock before all are applied.
        transactional_ddl=True,
        # SQLite cannot alter a table in place: batch mode creates it again.
        render_as_batch=on_sqlite,
        compare_type=True,
    )
    if on_sqlite:
        _run_on_sqlite(connection)
    else:
        _run_on_postgres(connection)


def _run_on_sqlite(connection: Connection) -> None:
    # IMMEDIATE is the lock here: a second caller waits, then finds all done.
    connection = connection.execution_options(fitqueue_begin="BEGIN IMMEDIATE")
    with connection.begin():
        context.run_migrations()


def _wait_for_lock(connection: Connection) -> None:
    """Wait until no other migration runs.

    It asks again and again: a statement that waited would hold a snapshot, for which `CREATE INDEX CONCURRENTLY` of the
    migration that runs would wait in turn, for ever.
    """
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}):
        connection.rollback()
        time.sleep(_LOCK_SECONDS)


def _run_on_postgres(connection: Connection) -> None:
    _wait_for_lock(connection)
    connection.execute(text("SET statement_timeout = 0"))
    # A migration that waits for a table's lock makes everybody behind it wait: rather give up, and try again later.
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.commit()
    try:
        context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        connection.commit()


run(context.config.attributes["connection"])
