import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseOutdated
from service import migrate
from service.db import make_engine
from service.migrate import upgrade
from service.models import Base


def _tables_of_sqlite(engine: Engine) -> set[str]:
    query = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    with engine.connect() as connection:
        found = connection.execute(text(query)).scalars().all()
    # White space and quotes are the writer's taste; the order of constraints means nothing.
    return {" ".join(sorted(row.replace('"', "").replace(",", " ").split())) for row in found}


def _tables_of_postgres(engine: Engine) -> set[str]:
    queries = (
        "SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, is_nullable, is_identity,"
        " column_default) FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    )
    with engine.connect() as connection:
        return {row for query in queries for row in connection.execute(text(query)).scalars()}


def _tables(engine: Engine) -> set[str]:
    found = _tables_of_sqlite(engine) if engine.dialect.name == "sqlite" else _tables_of_postgres(engine)
    return {row for row in found if "alembic_version" not in row}


def test_from_empty_equals_the_models(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    engine = make_engine(empty_database_url)
    migrated = _tables(engine)
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            table.drop(connection)
    assert not _tables(engine)
    Base.metadata.create_all(engine)
    assert migrated == _tables(engine)
    assert len(migrated) > len(Base.metadata.tables)
    engine.dispose()


def test_again_changes_nothing(database_url: str) -> None:
    engine = make_engine(database_url)
    before = _tables(engine)
    upgrade(database_url)
    assert _tables(engine) == before
    engine.dispose()


def test_a_newer_database_is_left_as_it_is(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    told = rf"of version 9999; expected {migrate.HEAD}: install a newer FitQueue"
    with pytest.raises(DatabaseOutdated, match=told):
        upgrade(database_url)
    with Session(engine) as session, pytest.raises(DatabaseOutdated, match=told):
        migrate.check(session)
    engine.dispose()


def test_down_and_up_again(database_url: str) -> None:
    from alembic import command
    from alembic.config import Config

    engine = make_engine(database_url)
    before = _tables(engine)
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert not _tables(engine)
    upgrade(database_url)
    assert _tables(engine) == before
    engine.dispose()


def test_several_at_once_wait_for_each_other(empty_database_url: str) -> None:
    program = f"from service.migrate import upgrade; upgrade({empty_database_url!r})"
    processes = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=120)[1] for process in processes] == [b""] * 3
    assert [process.returncode for process in processes] == [0] * 3
    engine = make_engine(empty_database_url)
    assert set(inspect(engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    engine.dispose()


def test_the_api_knows_the_newest() -> None:
    assert ScriptDirectory(str(migrate.MIGRATIONS)).get_heads() == [migrate.HEAD]


def test_a_failed_migration_leaves_nothing(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    # The last table is in the way already: the migration fails at its end.
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE log_lines (id integer)"))
    with pytest.raises(Exception, match="log_lines"):
        upgrade(empty_database_url)
    assert "jobs" not in inspect(engine).get_table_names()
    engine.dispose()


def test_the_postgresql_of_the_tests_is_the_one_that_the_compose_file_runs(postgres: Callable[[str], str]) -> None:
    compose = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
    (wanted,) = re.findall(r":-postgres:(\d+)", compose)
    engine = create_engine(postgres("postgres"))
    with engine.connect() as connection:
        found = connection.execute(text("SHOW server_version")).scalar_one()
    engine.dispose()
    assert found.split(".")[0] == wanted
