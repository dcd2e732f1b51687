"""The connection to the database: transactions and outages."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fitqueue.errors import DatabaseUnavailable
from service.db import Database
from service.store import tokens


def test_a_block_that_fails_is_rolled_back(database: Database) -> None:
    def write_and_fail() -> None:
        with database.write() as session:
            tokens.create(session, name="x")
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        write_and_fail()
    with database.read() as session:
        assert tokens.list_all(session) == []


def test_a_frozen_session_sees_one_state_and_keeps_nobody_from_writing(database: Database) -> None:
    with database.read_frozen() as session:
        assert tokens.list_all(session) == []
        with database.write() as writer:
            tokens.create(writer, name="x")
        assert tokens.list_all(session) == []
    with database.read_frozen() as session:
        assert len(tokens.list_all(session)) == 1


def test_a_frozen_session_may_last_for_hours(new_postgres_database: Callable[[str | None], str]) -> None:
    with closing(Database(new_postgres_database(None))) as database, database.read_frozen() as session:
        names = ("statement_timeout", "idle_in_transaction_session_timeout")
        assert [session.scalar(text(f"SHOW {name}")) for name in names] == ["0", "0"]
        with pytest.raises(DBAPIError, match="read-only transaction"):
            session.execute(text("CREATE TABLE x (id integer)"))


def test_a_database_that_cannot_be_reached_raises_database_unavailable(tmp_path: Path) -> None:
    message = r"^The database cannot be used right now \(OperationalError\); try again in a moment\.$"
    for url in ("postgresql://nobody@127.0.0.1:1/none", f"sqlite:///{tmp_path}"):
        database = Database(url)
        with pytest.raises(DatabaseUnavailable, match=message), database.read() as session:
            session.execute(text("SELECT 1"))
        database.close()
