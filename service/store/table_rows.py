"""All rows of the database as JSON values, which any other database takes: of SQLite or of PostgreSQL, old or new.

Reading uses the tables of the models. Writing looks at the tables that are there, because those of an older version
have other columns.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from service.column_types import Base
from service.models import (
    ADMIN_ID,
    LAB_ID,
    GPUClaim,
    LoginLink,
    LoginSession,
    Project,
    StorageIdentity,
    User,
    Worker,
)

LEFT_OUT: Final = frozenset(
    table.__tablename__ for table in (GPUClaim, LoginLink, LoginSession, StorageIdentity, Worker)
)
"""Tables that mean nothing elsewhere: running workers and what they hold, open browsers, and the storage's identity."""

_MIGRATED: Final = {User.__tablename__: ADMIN_ID, Project.__tablename__: LAB_ID}
"""The ids of the rows that every database has, because a migration creates them."""

_READ: Final = 1000
"""Rows that are in memory while a table is read."""
_WRITTEN: Final = 500
"""Rows that are written by one statement."""

Decode = Callable[[Any], Any]


def names() -> list[str]:
    """Return the tables that `read` can read, those first that others refer to."""
    return [table.name for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT]


def columns(table: str) -> list[str]:
    return [column.name for column in Base.metadata.tables[table].columns]


def read(session: Session, table: str) -> Iterator[list[Any]]:
    """Return each row of a table as values in the order of `columns`."""
    model = Base.metadata.tables[table]
    query = select(*model.columns).order_by(*model.primary_key.columns).execution_options(yield_per=_READ)
    for row in session.execute(query):
        yield [_encoded(value) for value in row]


def count_all(session: Session) -> dict[str, int]:
    """Return how many rows each table of the database has, other than those that a migration has created.

    A table without rows is left out.
    """
    metadata = _reflected(session)
    counts = {
        table.name: session.execute(select(func.count()).select_from(table).where(*_is_own(table))).scalar_one()
        for table in metadata.sorted_tables
        if table.name != "alembic_version"
    }
    return {name: count for name, count in counts.items() if count}


class RowWriter:
    """Writes rows into the empty tables of a database, whatever version they have."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tables = _reflected(session).tables
        if not self._is_on_sqlite:  # the rows may be on their way for longer than a request may last
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                session.execute(text(f"SET LOCAL {name} = 0"))

    def write(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Write all rows of a table; return how many they are.

        Raises:
            ValueError: the table, its columns or a value are not those of this version.
        """
        table = self._table(name, columns)
        if name in _MIGRATED:  # the backup has these rows as they were
            self._session.execute(delete(table).where(table.columns["id"] == _MIGRATED[name]))
        decoders = [_decoder(table.columns[column], self._is_on_sqlite) for column in columns]
        count = 0
        for batch in _batches(rows):
            self._insert(table, [_decoded(table, columns, decoders, row) for row in batch])
            count += len(batch)
        self._set_sequence(table)
        return count

    def _insert(self, table: Table, rows: list[dict[str, Any]]) -> None:
        try:
            self._session.execute(table.insert(), rows)
        except (DataError, IntegrityError, OverflowError) as error:
            why = getattr(error, "orig", error)
            raise ValueError(f"the table '{table.name}' does not take a row: {why}") from error

    @property
    def _is_on_sqlite(self) -> bool:
        return self._session.get_bind().dialect.name == "sqlite"

    def _table(self, name: str, columns: Sequence[str]) -> Table:
        table = self._tables.get(name)
        if table is None or name in LEFT_OUT:
            raise ValueError(f"there is no table '{name}'")
        expected = sorted(column.name for column in table.columns)
        if not isinstance(columns, list) or sorted(map(str, columns)) != expected:
            raise ValueError(f"the table '{name}' has the columns {', '.join(expected)}, received {columns}")
        return table

    def _set_sequence(self, table: Table) -> None:
        """Let the next id be larger than those that were written. SQLite sees to that by itself."""
        column = table.autoincrement_column
        if self._is_on_sqlite or column is None:
            return
        query = text(
            f'SELECT setval(pg_get_serial_sequence(:name, :column), max("{column.name}")) FROM "{table.name}"'  # noqa: S608 -- the database's own names
            f' HAVING max("{column.name}") IS NOT NULL AND pg_get_serial_sequence(:name, :column) IS NOT NULL'
        )
        self._session.execute(query, {"name": table.name, "column": column.name})


def _is_own(table: Table) -> list[ColumnElement[bool]]:
    return [table.columns["id"] != _MIGRATED[table.name]] if table.name in _MIGRATED else []


def _reflected(session: Session) -> MetaData:
    metadata = MetaData()
    metadata.reflect(session.connection())
    for table in metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, JSON):
                column.type = JSON(none_as_null=True)
    return metadata


def _batches(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _WRITTEN)):
        yield batch


def _encoded(value: Any) -> Any:
    """Return a value of a column as JSON has it: times in RFC 3339, NaN and infinity as words."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _decoded(table: Table, columns: Sequence[str], decoders: Sequence[Decode], row: Sequence[Any]) -> dict[str, Any]:
    if not isinstance(row, list) or len(row) != len(columns):
        raise ValueError(f"a row of the table '{table.name}' has not {len(columns)} values")
    try:
        return {
            column: None if value is None else decode(value)
            for column, decode, value in zip(columns, decoders, row, strict=True)
        }
    except (TypeError, ValueError) as error:
        raise ValueError(f"a row of the table '{table.name}' has a value of another type: {error}") from error


def _decoder(column: Column[Any], on_sqlite: bool) -> Decode:
    """Return a function from a value as JSON has it to what the column takes."""
    kind = column.type
    if isinstance(kind, JSON):
        return lambda value: value
    if isinstance(kind, DateTime):
        return _naive_time if on_sqlite else _time
    if isinstance(kind, Float):
        return float
    for type_, python_type in ((Boolean, bool), (Integer, int), (String, str)):
        if isinstance(kind, type_):
            return lambda value: _exact(value, python_type)
    raise TypeError(f"no rule for the type {kind} of the column '{column}'")


def _exact(value: Any, expected: type) -> Any:
    if type(value) is not expected:
        raise TypeError(f"expected {expected.__name__}, received {type(value).__name__}")
    return value


def _time(value: Any) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC)


def _naive_time(value: Any) -> datetime:
    return _time(value).replace(tzinfo=None)
