"""Brings a database to this version of the tables, by Alembic."""

from pathlib import Path
from typing import Final

from service.db import make_engine

HEAD: Final = "0005"
"""The newest migration. The API compares it with the database's, without loading Alembic for it."""

MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"


def upgrade(database_url: str, revision: str = "head") -> None:
    """Applies what is missing, each migration in its transaction. Several callers at once wait for each other."""
    from alembic import command  # here: the API imports this module and never migrates
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = make_engine(database_url)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()
