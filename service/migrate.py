"""Brings a database to this version of the tables, by Alembic."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseOutdated
from service.db import make_engine, outages_told

HEAD: Final = "0001"
"""The newest migration. The API compares it with the database's, without loading Alembic for it."""

MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"


def check(session: Session) -> str:
    """The version of the database's tables.

    Raises:
        DatabaseOutdated: it is not the one that this program needs.
    """
    found = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if found != HEAD:
        raise _mismatch(found)
    return HEAD


def _mismatch(found: str | None) -> DatabaseOutdated:
    mend = "install a newer FitQueue" if _is_newer(found) else "run `fitqueue migrate`"
    return DatabaseOutdated(f"The database's tables are of version {found}; expected {HEAD}: {mend}")


def _is_newer(version: str | None) -> bool:
    return version is not None and version > HEAD  # they are numbered


def upgrade(database_url: str, revision: str = "head") -> None:
    """Applies what is missing, each migration in its transaction. Several callers at once wait for each other.

    Raises:
        DatabaseOutdated: a newer version of this program has migrated it already.
        DatabaseUnavailable: the database cannot be reached.
    """
    from alembic import command  # here: the API imports this module and never migrates
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = make_engine(database_url)
    try:
        with _connected(engine) as connection:
            with connection.begin():
                found = MigrationContext.configure(connection).get_current_revision()
            if _is_newer(found):
                raise _mismatch(found)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


def _connected(engine: Engine) -> Connection:
    """Here a fault is the database's. Later SQLite would call a migration that fails by the same name."""
    with outages_told():
        return engine.connect()
