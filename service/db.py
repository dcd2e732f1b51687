"""The connection to the database: one engine, sessions that read and sessions that write.

`Database.read()` and `Database.write()` are context managers over a SQLAlchemy session. Keep their blocks short: never
wait, train or answer a client inside one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseOutdated, DatabaseUnavailable

BUSY_SECONDS: Final = 15.0
"""How long a writer waits for the lock of another one on SQLite; each holds it for milliseconds."""

_CONNECTIONS: Final = 32
"""Threads that use PostgreSQL at the same time, where nobody says another number."""

_KEPT_CONNECTIONS: Final = 8
"""Connections to PostgreSQL that stay open when nobody uses them."""

_DRIVERS: Final = frozenset({"sqlite", "sqlite+pysqlite", "postgresql+psycopg"})
_EXPECTED: Final = "`sqlite:///path` or `postgresql+psycopg://user:password@host/name`"

_POSTGRES_OPTIONS: Final = (
    "-c timezone=utc -c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
)


class Database:
    """One database. Thread-safe; not to be used across a fork."""

    def __init__(self, url: str, connections: int = _CONNECTIONS) -> None:
        """Prepare the engine. It creates a missing folder of a SQLite file, and does not connect yet.

        Args:
            url: the address.
            connections: how many threads may use PostgreSQL at the same time. One more waits, and fails in the end.
        """
        self._engine = make_engine(url, connections)
        self._writer = self._engine.execution_options(fitqueue_begin="BEGIN IMMEDIATE")
        self._frozen = self._engine
        if self._engine.dialect.name == "postgresql":
            self._frozen = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that sees one consistent state and changes nothing.

        Raises:
            DatabaseUnavailable: the database cannot be reached, or did not answer in time.
        """
        with _translate_errors(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session that is committed at the end of the block, or rolled back by an exception.

        Raises:
            DatabaseUnavailable: as in `read`. If the answer to the commit was lost, it may have happened all the same.
        """
        with _translate_errors(), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read_frozen(self) -> Iterator[Session]:
        """Open a session in which all queries see the database as the first one does, for hours if need be.

        Nothing else waits for it, but it keeps the database from tidying up.

        Raises:
            DatabaseUnavailable: as in `read`.
        """
        with _translate_errors(), Session(self._frozen, expire_on_commit=False) as session:
            if self._engine.dialect.name == "postgresql":
                for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                    session.execute(text(f"SET LOCAL {name} = 0"))
            yield session

    def close(self) -> None:
        self._engine.dispose()


def parse_url(url: str) -> URL:
    """Return the address of a database, with the driver that the service uses.

    Raises:
        ValueError: the service cannot use it. The message does not repeat the address, which may hold a password.
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        raise ValueError(f"This is not the address of a database; expected {_EXPECTED}") from None
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername not in _DRIVERS:
        raise ValueError(f"'{address.drivername}' is not a database that the service can use; expected {_EXPECTED}")
    return address


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite database; None for any other one."""
    address = parse_url(url)
    return Path(address.database) if address.get_backend_name() == "sqlite" and address.database else None


def make_engine(url: str, connections: int = _CONNECTIONS) -> Engine:
    address = parse_url(url)
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
        pool_size=_KEPT_CONNECTIONS,
        max_overflow=connections - _KEPT_CONNECTIONS,
        pool_timeout=5,
        pool_pre_ping=True,  # a database restart costs one lost connection, not a failed request for each connection
    )


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions itself, and only deferred ones; `_begin_sqlite` does it instead.
    connection.isolation_level = None
    # Not every build of SQLite has it. It halves what has been used as time goes by.
    connection.create_function("power", 2, pow, deterministic=True)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that starts to write fails at once while another one writes; IMMEDIATE waits its turn.
    connection.exec_driver_sql(connection.get_execution_options().get("fitqueue_begin", "BEGIN"))


@contextmanager
def outages_as_unavailable() -> Iterator[None]:
    """Translate outages.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or did not answer in time.
    """
    try:
        yield
    except (DBAPIError, TimeoutError) as error:
        if _is_outage(error):
            raise DatabaseUnavailable(_outage_message(error)) from error
        raise


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        with outages_as_unavailable():
            yield
    except DBAPIError as error:
        if _lacks_tables(error):
            raise DatabaseOutdated() from error
        raise


def _is_outage(error: DBAPIError | TimeoutError) -> bool:
    if _lacks_tables(error):  # SQLite raises the same class for it
        return False
    if type(error) is DatabaseError:  # no subclass of it: the file is not a database, or damaged
        return True
    return isinstance(error, OperationalError | InterfaceError | TimeoutError) or error.connection_invalidated


def _lacks_tables(error: Exception) -> bool:
    cause = getattr(error, "orig", None)
    # PostgreSQL's codes for an undefined table and an undefined column; SQLite has only a message.
    return getattr(cause, "sqlstate", None) in {"42P01", "42703"} or str(cause).startswith("no such ")


def _outage_message(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return f"The database cannot be used right now ({type(cause).__name__}); try again in a moment."
