"""The connection to the database: one engine, sessions that read and sessions that write.

`Database.read()` and `Database.write()` are context managers over a SQLAlchemy session. Keep what is done inside short:
never wait, never train, never answer a client inside one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseOutdated, DatabaseUnavailable

BUSY_SECONDS: Final = 15.0
"""How long a writer waits for another one's lock on SQLite; each holds it for milliseconds."""

_DRIVERS: Final = frozenset({"sqlite", "sqlite+pysqlite", "postgresql+psycopg"})
_EXPECTED: Final = "`sqlite:///path` or `postgresql+psycopg://user:password@host/name`"

_POSTGRES_OPTIONS: Final = (
    "-c timezone=utc -c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
)


class Database:
    """One database. Thread-safe; not to be used across a fork."""

    def __init__(self, url: str) -> None:
        """`url` as `parsed` takes it; a missing folder of a SQLite file is made. Nothing is connected yet."""
        self._engine = make_engine(url)
        self._writer = self._engine.execution_options(fitqueue_begin="BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one consistent state and changes nothing.

        Raises:
            DatabaseUnavailable: the database cannot be reached, or did not answer in time.
        """
        with _errors_told(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed at the end of the block, or rolled back by an exception.

        Raises:
            DatabaseUnavailable: as in `read`; where the commit's answer was lost, it may have happened all the same.
        """
        with _errors_told(), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        self._engine.dispose()


def parsed(url: str) -> URL:
    """The address of a database, as SQLAlchemy writes it.

    Raises:
        ValueError: it is none that the service can use. The address is not repeated: a password may stand in it.
    """
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise ValueError(f"This is no address of a database; expected {_EXPECTED}") from None
    if found.drivername == "postgresql":
        found = found.set(drivername="postgresql+psycopg")
    if found.drivername not in _DRIVERS:
        raise ValueError(f"'{found.drivername}' is no database that the service can use; expected {_EXPECTED}")
    return found


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None of any other one."""
    found = parsed(url)
    return Path(found.database) if found.get_backend_name() == "sqlite" and found.database else None


def make_engine(url: str) -> Engine:
    address = parsed(url)
    if address.get_backend_name() == "sqlite":
        if file := sqlite_file(url):
            file.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS}, pool_size=16, max_overflow=64)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        address,
        connect_args={"connect_timeout": 5, "options": _POSTGRES_OPTIONS},
        pool_size=8,
        max_overflow=24,
        pool_timeout=5,
        pool_pre_ping=True,  # a restarted database costs one lost connection, not one failed request a connection
    )


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions by itself, always deferred ones; `_begin_sqlite` does it instead.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns into a writing one fails at once where another writes; IMMEDIATE waits its turn.
    connection.exec_driver_sql(connection.get_execution_options().get("fitqueue_begin", "BEGIN"))


@contextmanager
def outages_told() -> Iterator[None]:
    """Raises DatabaseUnavailable where the database cannot be reached, or did not answer in time."""
    try:
        yield
    except (DBAPIError, TimeoutError) as error:
        if _is_outage(error):
            raise DatabaseUnavailable(_in_words(error)) from error
        raise


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        with outages_told():
            yield
    except DBAPIError as error:
        if _lacks_tables(error):
            raise DatabaseOutdated() from error
        raise


def _is_outage(error: DBAPIError | TimeoutError) -> bool:
    if _lacks_tables(error):  # SQLite has the same word for it
        return False
    if type(error) is DatabaseError:  # of no kind: the file is no database, or a broken one
        return True
    return isinstance(error, OperationalError | InterfaceError | TimeoutError) or error.connection_invalidated


def _lacks_tables(error: Exception) -> bool:
    cause = getattr(error, "orig", None)
    # PostgreSQL's codes for an undefined table and an undefined column; SQLite has only words.
    return getattr(cause, "sqlstate", None) in {"42P01", "42703"} or str(cause).startswith("no such ")


def _in_words(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return f"The database cannot be used at the moment ({type(cause).__name__}); try again in a moment."
