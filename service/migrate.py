"""Migrates a database to this version's tables, with Alembic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseOutdated
from service.db import make_engine, outages_as_unavailable

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0020"
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
    remedy = "install a newer FitQueue" if is_newer(version) else "run `fitqueue migrate`"
    return DatabaseOutdated(f"The database's tables have version {version}; expected {HEAD}: {remedy}")


def is_newer(version: str | None) -> bool:
    """Return whether the tables of this version are those of a newer program."""
    return version is not None and version > HEAD  # versions are numbers of fixed length


def upgrade(database_url: str, revision: str = "head") -> None:
    """Apply the missing migrations: on PostgreSQL each in its own transaction, on SQLite all in one.

    Concurrent callers wait for each other.

    Raises:
        DatabaseOutdated: a newer version of this program has already migrated the database.
        DatabaseUnavailable: the database cannot be reached.
    """
    from alembic import command  # imported here, because the API imports this module and never migrates

    with _alembic(database_url) as config:
        command.upgrade(config, revision)


def recreate_tables(database_url: str, revision: str) -> None:
    """Drop the tables, and create them as they were in a version of this program.

    Raises:
        DatabaseOutdated: as in `upgrade`.
        DatabaseUnavailable: the database cannot be reached.
    """
    from alembic import command

    with _alembic(database_url) as config:
        command.downgrade(config, "base")
        command.upgrade(config, revision)


@contextmanager
def _alembic(database_url: str) -> "Iterator[Config]":
    """Return Alembic's configuration, with a connection to a database that is not newer than this program."""
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = make_engine(database_url)
    try:
        with _connect(engine) as connection:
            with connection.begin():
                version = MigrationContext.configure(connection).get_current_revision()
            if is_newer(version):
                raise _mismatch(version)
            config.attributes["connection"] = connection
            yield config
    finally:
        engine.dispose()


def _connect(engine: Engine) -> Connection:
    """Connect. Only here an error is an outage: SQLite raises the same class for a migration that fails."""
    with outages_as_unavailable():
        return engine.connect()
