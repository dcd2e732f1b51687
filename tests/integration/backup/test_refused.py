"""What `fitqueue restore` refuses: what is not empty, what is damaged or hostile, and what other versions have made."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, text

from service import migrate
from service.db import make_engine
from service.migrate import upgrade
from service.store import jobs, table_rows
from tests.integration.backup.conftest import MakeService, Service, fill
from tests.integration.backup.test_backup import make_at

Run = Callable[..., tuple[int, str, str]]
Change = Callable[[dict[str, Any]], None]
BEFORE = f"{int(migrate.HEAD) - 1:04}"
"""The version before this one."""


class Backup:
    """A backup in a folder, which a test changes."""

    def __init__(self, place: Path, name: str) -> None:
        self.place = place
        self.name = name
        self._folder = place / "backups" / name

    def change_manifest(self, change: Change) -> None:
        path = self._folder / "manifest.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    def read_table(self, table: str) -> list[list[Any]]:
        with gzip.open(self._folder / f"{table}.jsonl.gz", "rt") as file:
            return [json.loads(line) for line in file]

    def write_table(self, table: str, lines: list[Any]) -> None:
        """Write the lines of a table, and describe them in the manifest as they are."""
        self.write_table_as("\n".join(map(json.dumps, lines)), table, len(lines) - 1)

    def write_table_as(self, content: str, table: str, rows: int) -> None:
        self.write_compressed(gzip.compress(content.encode()), table, rows)

    def write_compressed(self, compressed: bytes, table: str, rows: int) -> None:
        (self._folder / f"{table}.jsonl.gz").write_bytes(compressed)
        fields = {"sha256": hashlib.sha256(compressed).hexdigest(), "size": len(compressed), "rows": rows}
        self.change_manifest(lambda manifest: _table(manifest, table).update(fields))


def _table(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [table for table in manifest["tables"] if table["name"] == name]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def backup(service: Service, tmp_path: Path) -> Backup:
    fill(service)
    return Backup(tmp_path / "place", make_at(service, tmp_path / "place").name)


@pytest.fixture
def new(make_service: MakeService) -> Service:
    """An empty service to restore into."""
    return make_service()


def assert_nothing_is_restored(new: Service) -> None:
    with new.database.read() as session:
        assert table_rows.count_all(session) == {}
    assert new.storage.identity() is None


def test_a_database_that_is_not_empty_is_left_alone(run: Run, backup: Backup, new: Service) -> None:
    new.install()
    new.submit()
    new.submit()
    rows = new.rows()
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert "The database is not empty, it has rows: 2 in 'jobs', 2 in 'events'." in remarks
    assert (new.rows(), new.files()) == (rows, {})


def test_the_database_of_another_program_is_left_alone(run: Run, backup: Backup, new: Service) -> None:
    engine = make_engine(new.settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE customers AS SELECT 1 AS id"))
    engine.dispose()
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert "it has rows: 1 in 'customers'" in remarks


def test_a_database_that_was_only_migrated_is_empty(run: Run, backup: Backup, new: Service) -> None:
    new.install()
    identity = new.storage.identity()
    assert run(new, "restore", backup.place)[0] == 0
    assert len(new.files()) == 5
    assert new.storage.identity() == identity


def test_after_a_failure_a_database_that_was_only_migrated_is_still_that_of_its_storage(
    run: Run, backup: Backup, new: Service
) -> None:
    new.install()
    lines = backup.read_table("tokens")
    backup.write_table("tokens", [*lines, lines[1]])
    assert run(new, "restore", backup.place)[0] == 3
    backup.write_table("tokens", lines)
    assert run(new, "restore", backup.place)[0] == 0


def test_a_storage_with_other_files_is_left_alone(run: Run, backup: Backup, new: Service) -> None:
    new.install()
    new.put("datasets/ds_other.npz", b"x")
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert "it has 1 files that are not of this backup, such as datasets/ds_other.npz" in remarks
    assert new.files() == {"datasets/ds_other.npz": b"x"}


def test_the_storage_of_another_database_is_left_alone(
    run: Run, backup: Backup, service: Service, new: Service
) -> None:
    own = new.with_settings(storage=service.settings.storage)
    code, _, remarks = run(own, "restore", backup.place)
    assert code == 3
    assert f"its file 'storage-id' says {service.storage.identity()}" in remarks


def test_a_damaged_file_is_found_and_the_next_try_copies_only_what_is_missing(
    run: Run, backup: Backup, new: Service
) -> None:
    path = backup.place / "datasets" / "ds_letters.npz"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"l", b"L", 1))
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert "The file datasets/ds_letters.npz of the backup" in remarks
    assert "is damaged: its checksum is another one." in remarks
    assert_nothing_is_restored(new)
    path.write_bytes(content)
    code, _, remarks = run(new, "restore", backup.place)
    assert (code, remarks) == (0, "Restoring 1 file, 7.0 kB …\nWriting the database …\n")


def test_a_missing_table_is_found(run: Run, backup: Backup, new: Service) -> None:
    (backup.place / "backups" / backup.name / "events.jsonl.gz").unlink()
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert "events.jsonl.gz is missing. The database is still empty" in remarks
    assert_nothing_is_restored(new)


@pytest.mark.parametrize("name", ["../place", "..", "a/b", "20200101T000000.000Z"])
def test_a_name_is_one_of_those_in_the_list(run: Run, backup: Backup, new: Service, name: str) -> None:
    code, _, remarks = run(new, "restore", backup.place, "--backup", name)
    assert code == 3
    assert f"has no backup '{name}'; `fitqueue restore SOURCE --list` lists them." in remarks


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["files"][0].update(key="../../../etc/passwd"), "is not a key of the storage"),
        (lambda m: m["files"][0].update(key="checkpoints/../../x"), "is not a key of the storage"),
        (lambda m: m["files"][0].update(key="/etc/passwd"), "is not a key of the storage"),
        (lambda m: m["files"][0].update(key="backups/x/manifest.json"), "is not the key of a file that rows refer to"),
        (lambda m: m["tables"][0].update(name="../../x"), "String should match pattern"),
        (lambda m: m["files"][0].update(size=-1), "greater than or equal to 0"),
        (lambda m: m["files"][0].update(sha256="x"), "String should match pattern"),
        (lambda m: m.update(revision="0001; DROP"), "String should match pattern"),
        (lambda m: m.update(surprise=1), "Extra inputs are not permitted"),
        (lambda m: m.update(format=2), "has the format 2; expected 1"),
        (lambda m: m.pop("format"), "has the format None; expected 1"),
    ],
)
def test_a_hostile_manifest_is_refused(run: Run, backup: Backup, new: Service, change: Change, words: str) -> None:
    backup.change_manifest(change)
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert words in remarks
    assert_nothing_is_restored(new)


@pytest.mark.parametrize("content", ["", "null", "[1]", "[" * 100_000, "\N{SNOWMAN}"])
def test_a_manifest_that_is_something_else_is_refused(run: Run, backup: Backup, new: Service, content: str) -> None:
    (backup.place / "backups" / backup.name / "manifest.json").write_text(content)
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert "is damaged" in remarks or "has the format None" in remarks
    assert_nothing_is_restored(new)


def _with(row: int, column: int, value: Any) -> Callable[[list[Any]], list[Any]]:
    def change(lines: list[Any]) -> list[Any]:
        lines[row][column] = value
        return lines

    return change


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("tokens", _with(0, 0, "id; DROP TABLE jobs"), "has the columns "),
        ("tokens", lambda lines: [lines[0][1:], *(line[1:] for line in lines[1:])], "has the columns "),
        ("tokens", lambda lines: [7, *lines[1:]], "has the columns "),
        ("tokens", _with(1, 0, 7), "expected str, received int"),
        ("tokens", _with(1, 0, {"a": 1}), "expected str, received dict"),
        ("tokens", lambda lines: [*lines, lines[1]], "does not take a row: UNIQUE constraint failed"),
        ("tokens", lambda lines: [*lines, ["x"]], "has not"),
        ("tokens", lambda lines: [*lines, "x"], "has not"),
        ("events", _with(1, 0, 2**70), "does not take a row"),
        ("events", _with(1, 1, "job_nowhere"), "does not take a row: FOREIGN KEY constraint failed"),
        ("epoch_metrics", lambda lines: [lines[0], *([*line[:-1], "much"] for line in lines[1:])], "could not convert"),
    ],
)
def test_hostile_rows_are_refused(
    run: Run, backup: Backup, new: Service, table: str, change: Callable[[list[Any]], list[Any]], words: str
) -> None:
    backup.write_table(table, change(backup.read_table(table)))
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert f"/{table}.jsonl.gz cannot be restored: " in remarks
    assert words in remarks
    assert_nothing_is_restored(new)


@pytest.mark.parametrize("content", ["", "[", '["id"]\n{"a":', "\N{SNOWMAN}", "[" * 100_000])
def test_a_table_that_is_something_else_is_refused(run: Run, backup: Backup, new: Service, content: str) -> None:
    backup.write_table_as(content, "tokens", 1)
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert "/tokens.jsonl.gz cannot be restored: " in remarks
    assert_nothing_is_restored(new)


def test_a_table_that_is_not_compressed_as_it_should_be_is_refused(run: Run, backup: Backup, new: Service) -> None:
    compressed = bytearray(gzip.compress(b"[]" * 1000))
    compressed[12:20] = bytes(8)
    backup.write_compressed(bytes(compressed), "tokens", 1)
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert "/tokens.jsonl.gz cannot be restored: " in remarks
    assert_nothing_is_restored(new)


@pytest.mark.parametrize("table", sorted(table_rows.LEFT_OUT))
def test_no_backup_can_log_somebody_in(run: Run, backup: Backup, new: Service, table: str) -> None:
    """Nor bring back workers, or the identity of another storage."""
    backup.change_manifest(lambda manifest: _table(manifest, "tokens").update(name=table))
    folder = backup.place / "backups" / backup.name
    (folder / "tokens.jsonl.gz").rename(folder / f"{table}.jsonl.gz")
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert f"there is no table '{table}'" in remarks
    assert_nothing_is_restored(new)


def test_fewer_rows_than_the_manifest_says_are_refused(run: Run, backup: Backup, new: Service) -> None:
    backup.change_manifest(lambda manifest: _table(manifest, "tokens").update(rows=9))
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert "it has 1 rows; expected 9" in remarks
    assert_nothing_is_restored(new)


def test_a_backup_of_a_newer_version_is_refused(run: Run, backup: Backup, new: Service) -> None:
    backup.change_manifest(lambda manifest: manifest.update(revision="9998", fitqueue="7.0"))
    code, _, remarks = run(new, "restore", backup.place)
    assert code == 3
    assert (
        f"has tables of version 9998, and was made by FitQueue 7.0; this program knows versions up to {migrate.HEAD}"
        in (remarks)
    )
    assert_nothing_is_restored(new)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("version", [BEFORE, "0012"])
def test_a_backup_of_an_older_version_is_upgraded(
    run: Run, backup: Backup, service: Service, make_service: MakeService, tmp_path: Path, version: str, database: str
) -> None:
    _rewrite_as_of(backup, version, f"sqlite:///{tmp_path}/old.db")
    new = make_service(database)
    code, shown, _ = run(new, "restore", backup.place)
    assert code == 0
    assert "Jobs that were running are queued again: 1." in shown
    with new.database.read() as session:
        assert migrate.verify_version(session) == migrate.HEAD
    with service.database.read() as before, new.database.read() as after:
        ids = [row[0] for row in service.rows()["jobs"]]
        assert [jobs.get(after, id).name for id in ids] == [jobs.get(before, id).name for id in ids]
    assert new.files() == service.files()


def _rewrite_as_of(backup: Backup, version: str, database_url: str) -> None:
    """Remove the tables and the columns that an older version did not have."""
    upgrade(database_url, version)
    engine, metadata = make_engine(database_url), MetaData()
    metadata.reflect(engine)
    engine.dispose()

    def change(manifest: dict[str, Any]) -> None:
        manifest["revision"] = version
        manifest["tables"] = [table for table in manifest["tables"] if table["name"] in metadata.tables]

    backup.change_manifest(change)
    for name in [name for name in table_rows.names() if name in metadata.tables]:
        columns, *rows = backup.read_table(name)
        kept = [index for index, column in enumerate(columns) if column in metadata.tables[name].columns]
        backup.write_table(name, [[line[index] for index in kept] for line in (columns, *rows)])


def test_a_database_that_is_down_has_an_exit_code_of_its_own(run: Run, backup: Backup, new: Service) -> None:
    down = new.with_settings(database_url="postgresql://x@127.0.0.1:9/x")
    code, _, remarks = run(down, "restore", backup.place)
    assert code == 4
    assert remarks.startswith("Error: The database cannot be used: ")
    code, _, remarks = run(down, "backup", backup.place)
    assert code == 4


@pytest.mark.parametrize("address", ["s3://", "ftp://x/y"])
def test_an_address_that_is_none_is_refused(run: Run, service: Service, address: str) -> None:
    for command in ("backup", "restore"):
        code, _, remarks = run(service, command, address)
        assert code == 3
        assert f"'{address}': expected " in remarks


def test_a_folder_without_backups_is_named(run: Run, service: Service, tmp_path: Path) -> None:
    code, _, remarks = run(service, "restore", tmp_path / "nowhere")
    assert code == 3
    assert f"The folder {tmp_path}/nowhere does not exist" in remarks
    (tmp_path / "empty").mkdir()
    code, _, remarks = run(service, "restore", tmp_path / "empty")
    assert (code, remarks) == (3, f"Error: {tmp_path}/empty has no backup.\n")
