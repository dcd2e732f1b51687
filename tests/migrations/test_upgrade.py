"""Migrations: they lead to exactly the tables of the models, from any version, and leave a newer database alone."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseOutdated
from service import migrate
from service.db import make_engine
from service.migrate import upgrade
from service.models import Base, Dataset, Worker
from tests.waiting import until

LOCK = 0x6669747175657565
"""The lock of `migrations/env.py`, which only Alembic can import."""


def _sqlite_schema(engine: Engine) -> set[str]:
    query = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    with engine.connect() as connection:
        rows = connection.execute(text(query)).scalars().all()
    # White space, quotes and the order of constraints have no meaning.
    return {" ".join(sorted(row.replace('"', "").replace(",", " ").split())) for row in rows}


def _postgres_schema(engine: Engine) -> set[str]:
    queries = (
        "SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, is_nullable, is_identity,"
        " column_default) FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    )
    with engine.connect() as connection:
        return {row for query in queries for row in connection.execute(text(query)).scalars()}


def _schema(engine: Engine) -> set[str]:
    """Return the definitions of all tables, columns, constraints and indexes, without those of Alembic."""
    rows = _sqlite_schema(engine) if engine.dialect.name == "sqlite" else _postgres_schema(engine)
    return {row for row in rows if "alembic_version" not in row}


def test_migrating_an_empty_database_creates_the_tables_of_the_models(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    engine = make_engine(empty_database_url)
    migrated = _schema(engine)
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            table.drop(connection)
    assert not _schema(engine)
    Base.metadata.create_all(engine)
    assert migrated == _schema(engine)
    assert len(migrated) > len(Base.metadata.tables)
    engine.dispose()


def test_migrating_again_changes_nothing(database_url: str) -> None:
    engine = make_engine(database_url)
    schema_before = _schema(engine)
    upgrade(database_url)
    assert _schema(engine) == schema_before
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    message = rf"^The database's tables have version 9999; expected {migrate.HEAD}: install a newer FitQueue$"
    with pytest.raises(DatabaseOutdated, match=message):
        upgrade(database_url)
    with Session(engine) as session, pytest.raises(DatabaseOutdated, match=message):
        migrate.verify_version(session)
    engine.dispose()


def _downgrade(engine: Engine, revision: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_downgrading_and_upgrading_leads_to_the_same_tables(database_url: str) -> None:
    engine = make_engine(database_url)
    schema_before = _schema(engine)
    _downgrade(engine, "base")
    assert not _schema(engine)
    upgrade(database_url)
    assert _schema(engine) == schema_before
    engine.dispose()


def _insert_job(engine: Engine, job_id: str) -> None:
    """Insert a row as the first version did, with the columns that have no default in the database."""
    values = {
        "id": f"'{job_id}'", "state": "'queued'", "pool": "'default'", "gpus": "0", "priority": "0", "spec": "'{}'",
        "notices": "'[]'", "epochs": "5", "epoch": "0", "step": "0", "attempt": "0", "failed_attempts": "0",
        "max_attempts": "3", "seconds_used": "0", "stalled_attempts": "0", "last_write": "0",
        "created_at": "'2026-01-01 00:00:00+00:00'", "version": "1",
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO jobs ({', '.join(values)}) VALUES ({', '.join(values.values())})"))


def test_jobs_of_the_first_version_stay_and_are_not_deleted(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0001")
    engine = make_engine(empty_database_url)
    _insert_job(engine, "job_1")
    upgrade(empty_database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id, deleted_at FROM jobs")).all() == [("job_1", None)]
    engine.dispose()


def test_a_downgrade_does_not_show_deleted_jobs_again(database_url: str) -> None:
    engine = make_engine(database_url)
    for job_id in ("job_deleted", "job_kept"):
        _insert_job(engine, job_id)
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET deleted_at = created_at WHERE id = 'job_deleted'"))
    _downgrade(engine, "0001")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM jobs")).scalars().all() == ["job_kept"]
    engine.dispose()


def test_the_version_before_this_one_still_adds_jobs_and_its_jobs_are_kept(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0001")
    engine = make_engine(empty_database_url)
    _insert_job(engine, "job_before")
    upgrade(empty_database_url)
    _insert_job(engine, "job_after")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, epochs, outages FROM jobs ORDER BY id")).all()
        identities = connection.execute(text("SELECT count(*) FROM storage_identity")).scalar_one()
    assert [tuple(row) for row in rows] == [("job_after", 5, 0), ("job_before", 5, 0)]
    assert identities == 0
    engine.dispose()


def test_a_data_set_of_the_version_before_is_nobodys(empty_database_url: str) -> None:
    """The version before goes on to write while this one is installed: it knows nothing of the new columns."""
    engine = make_engine(empty_database_url)
    upgrade(empty_database_url, "0009")
    for name in ("before", "after"):
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO datasets (id, name, sha256, size, storage_key, arrays, left_out, created_at)"
                    f" VALUES ('ds_{name}', '{name}', 'aa', 1, 'k', '[]', '[]', CURRENT_TIMESTAMP)"
                )
            )
        upgrade(empty_database_url)
    with Session(engine) as session:
        rows = [(row.name, row.token_id) for row in session.scalars(select(Dataset).order_by(Dataset.id))]
    assert rows == [("after", None), ("before", None)]
    engine.dispose()


def test_sqlite_commits_all_migrations_at_once(tmp_path: Path) -> None:
    """Its lock is the transaction: after a commit between two, another caller would apply the second, too."""
    file = tmp_path / "fitqueue.db"
    versions: list[str] = []

    def note_version(connection: Connection) -> None:
        if inspect(connection).has_table("alembic_version"):
            versions.extend(connection.scalars(text("SELECT version_num FROM alembic_version")))

    event.listen(Engine, "commit", note_version)
    try:
        upgrade(f"sqlite:///{file}")
    finally:
        event.remove(Engine, "commit", note_version)
    assert versions == [migrate.HEAD]


def test_concurrent_migrations_wait_for_each_other(empty_database_url: str) -> None:
    program = f"from service.migrate import upgrade; upgrade({empty_database_url!r})"
    processes = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=120)[1] for process in processes] == [b""] * 3
    assert [process.returncode for process in processes] == [0] * 3
    engine = make_engine(empty_database_url)
    assert set(inspect(engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    engine.dispose()


def test_who_waits_for_a_migration_does_not_hold_it_up(new_postgres_database: Callable[[str | None], str]) -> None:
    """An index that is created beside writes waits for all snapshots, those of statements that wait among them."""
    url = new_postgres_database(None)
    upgrade(url)
    engine = make_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as running:
        running.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        program = f"from service.migrate import upgrade; upgrade({url!r})"
        waiting = subprocess.Popen([sys.executable, "-c", program])
        until(lambda: _who_wait(running), 120, "the other one waits")
        running.execute(text("SET statement_timeout = '120s'"))
        running.execute(text("CREATE INDEX CONCURRENTLY ix_test ON jobs (name)"))
        assert waiting.poll() is None
        running.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
        assert waiting.wait(120) == 0
    engine.dispose()


def _who_wait(connection: Connection) -> int:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND (query LIKE '%advisory_lock%')"
    )
    return int(connection.scalar(text(query)) or 0)


def test_the_api_expects_the_newest_migration() -> None:
    assert ScriptDirectory(str(migrate.MIGRATIONS)).get_heads() == [migrate.HEAD]


def test_a_failed_migration_is_rolled_back(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    # The migration creates other tables before this one, and then fails.
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE log_lines (id integer)"))
    with pytest.raises(Exception, match="log_lines"):
        upgrade(empty_database_url)
    assert "jobs" not in inspect(engine).get_table_names()
    engine.dispose()


def test_the_tests_use_the_postgresql_version_of_the_compose_file(postgres_url: Callable[[str], str]) -> None:
    compose = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
    (expected_version,) = re.findall(r":-postgres:(\d+)", compose)
    engine = create_engine(postgres_url("postgres"))
    with engine.connect() as connection:
        version = connection.execute(text("SHOW server_version")).scalar_one()
    engine.dispose()
    assert version.split(".")[0] == expected_version


def test_a_worker_of_the_version_before_this_one_still_registers(database_url: str) -> None:
    engine = make_engine(database_url)
    values = {
        "id": "'wk_1'", "host": "'h'", "pools": "'[]'", "slots": "1", "devices": "'[]'", "gpu_uuids": "'[]'",
        "started_at": "'2026-01-01 00:00:00+00:00'", "last_seen_at": "'2026-01-01 00:00:00+00:00'",
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO workers ({', '.join(values)}) VALUES ({', '.join(values.values())})"))
    with Session(engine) as session:
        worker = session.get_one(Worker, "wk_1")
        assert (worker.versions, worker.gpu_use) == ({}, [])
    engine.dispose()
