"""Rows with sums that many transactions add to. A transaction does that late, because the others wait for it."""

from collections.abc import Mapping

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.column_types import Base


def add(session: Session, table: type[Base], key: Mapping[str, str], amounts: Mapping[str, float]) -> None:
    """Add amounts to the columns of the row with this key, which is created if there is none."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    grown = {name: getattr(table, name) + amount for name, amount in amounts.items()}
    row = insert(table).values(**key, **amounts)
    session.execute(row.on_conflict_do_update(index_elements=list(key), set_=grown))
