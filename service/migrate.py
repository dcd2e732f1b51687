"""Migrates a database to this version's tables, with Alembic."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseOutdated
from service.db import make_engine, outages_as_unavailable

HEAD: Final = "0019"
"""The newest migration. The API compares it with the database's version without loading Alembic."""

MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"


def verify_version(session: Session) -> str:
    """Return the version of the database's tables.

    Raises:
        DatabaseOutdated: it is not the version that this program needs.
    """
    version = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if version != HEAD:
        raise _mismatch(version)
    return HEAD


def _mismatch(version: str | None) -> DatabaseOutdated:
    remedy = "install a newer FitQueue" if _is_newer(version) else "run `fitqueue migrate`"
    return DatabaseOutdated(f"The database's tables have version {version}; expected {HEAD}: {remedy}")


def _is_newer(version: str | None) -> bool:
    return version is not None and version > HEAD  # versions are numbers of fixed length


def upgrade(database_url: str, revision: str = "head") -> None:
    """Apply the missing migrations: on PostgreSQL each in its own transaction, on SQLite all in one.

    Concurrent callers wait for each other.

    Raises:
        DatabaseOutdated: a newer version of this program has already migrated the database.
        DatabaseUnavailable: the database cannot be reached.
    """
    from alembic import command  # imported here, because the API imports this module and never migrates
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = make_engine(database_url)
    try:
        with _connect(engine) as connection:
            with connection.begin():
                version = MigrationContext.configure(connection).get_current_revision()
            if _is_newer(version):
                raise _mismatch(version)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


def _connect(engine: Engine) -> Connection:
    """Connect. Only here an error is an outage: SQLite raises the same class for a migration that fails."""
    with outages_as_unavailable():
        return engine.connect()
