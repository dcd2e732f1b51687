"""Rows with sums that many transactions add to. A transaction does that late, because the others wait for it."""

from collections.abc import Mapping
from functools import cache
from typing import cast

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.column_types import Base


def add(session: Session, table: type[Base], key: Mapping[str, str], amounts: Mapping[str, float]) -> None:
    """Add amounts to the columns of the row with this key, which is created if there is none."""
    statement = _statement(session.get_bind().dialect.name, table, tuple(key), tuple(amounts))
    session.execute(statement, {**key, **amounts})


@cache  # building it takes longer than running it
def _statement(dialect: str, table: type[Base], key: tuple[str, ...], amounts: tuple[str, ...]) -> Insert:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    row = insert(cast(Table, table.__table__))
    grown = {name: getattr(table, name) + row.excluded[name] for name in amounts}
    return row.on_conflict_do_update(index_elements=list(key), set_=grown)
