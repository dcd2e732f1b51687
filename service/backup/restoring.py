"""Restores a backup into an empty database and an empty storage.

Files come first, and the rows last, in one transaction: whatever fails before, the database stays empty, and the same
command may be given again. It then does not copy again what it has copied.
"""

import gzip
import json
import secrets
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Final

from fitqueue.errors import DatabaseOutdated
from service.backup.copying import copy_all, fetch_verified
from service.backup.errors import BackupFailed
from service.backup.manifest import Manifest, SavedFile, SavedTable
from service.backup.place import BackupPlace
from service.backup.progress import Progress
from service.db import Database
from service.migrate import HEAD, is_newer, recreate_tables, upgrade
from service.storage import Storage
from service.storage.fetching import reads_back
from service.storage.keys import KINDS, backup_key
from service.storage_marking import mark_storage
from service.store import attempt_outcomes, storage_identity, table_rows
from service.store.table_rows import RowWriter

_MAX_LINE: Final = 256 * 1024**2
"""The longest row that is read, in characters: a spec has at most some megabytes."""


class Restore:
    """The restoration of one backup."""

    def __init__(self, place: BackupPlace, name: str, manifest: Manifest) -> None:
        self._place = place
        self._name = name
        self._manifest = manifest

    def run(self, database_url: str, storage: Storage, progress: Progress) -> int:
        """Restore the backup; return how many jobs were running, which are queued now.

        Args:
            storage: the storage, opened without an expected identity. A folder must exist.

        Raises:
            BackupFailed: the backup is damaged or of a newer version, or something is not empty.
            DatabaseUnavailable: the database cannot be used.
            OSError: a storage failed.
        """
        if is_newer(self._manifest.revision):
            raise BackupFailed(
                f"The backup {self._name} has tables of version {self._manifest.revision}, and was made by FitQueue"
                f" {self._manifest.fitqueue}; this program knows versions up to {HEAD}. Install that FitQueue."
            )
        identity = _require_empty_database(database_url)
        self._copy_files(storage, identity, progress)
        progress.step("Writing the database …")
        recreate_tables(database_url, self._manifest.revision)
        with closing(Database(database_url)) as database:
            _keep_identity(database, identity)
            self._write_rows(database, storage)
            upgrade(database_url)
            with database.write() as session:
                why = f"The service was restored from the backup {self._name}; the job is queued again."
                requeued = attempt_outcomes.requeue_all(session, why, self._manifest.created_at)
            mark_storage(database, storage, adopt=True)
        return requeued

    def _copy_files(self, storage: Storage, identity: str | None, progress: Progress) -> None:
        present = self._require_empty_storage(storage, identity)
        files = [file for file in self._manifest.files if not _is_stored(storage, file, present)]
        with progress.copying(len(files), sum(file.size for file in files)) as on_bytes:
            bad = copy_all(self._place.storage, storage, files, on_bytes)
        if bad:
            more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise BackupFailed(
                f"The file {bad[0].key} of the backup {self._name} {bad[0].why}{more}. The database is still empty:"
                " choose another backup."
            )

    def _require_empty_storage(self, storage: Storage, identity: str | None) -> dict[str, int]:
        """Return the sizes of the files that an interrupted restoration has left, by key.

        Raises:
            BackupFailed: the storage holds other files, or belongs to another database.
        """
        found = storage.identity()
        if found is not None and found != identity:
            raise BackupFailed(f"The storage belongs to another database: its file 'storage-id' says {found}.")
        present = {file.key: file.size for kind in KINDS for file in storage.files(kind)}
        others = present.keys() - {file.key for file in self._manifest.files}
        if others:
            raise BackupFailed(
                f"The storage is not empty: it has {len(others)} files that are not of this backup, such as"
                f" {min(others)}. A backup is restored into an empty storage."
            )
        return present

    def _write_rows(self, database: Database, storage: Storage) -> None:
        with database.write() as session:
            writer = RowWriter(session)
            for table in self._manifest.tables:
                path = storage.temporary_folder() / secrets.token_hex(16)
                try:
                    self._write_table(writer, table, path)
                finally:
                    path.unlink(missing_ok=True)

    def _write_table(self, writer: RowWriter, table: SavedTable, path: Path) -> None:
        key = backup_key(self._name, table.file)
        if why := fetch_verified(self._place.storage, key, table.sha256, path, lambda _: None):
            raise BackupFailed(f"The file {key} {why}. The database is still empty: choose another backup.")
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                lines = _lines(file)
                count = writer.write(table.name, next(lines), lines)
            if count != table.rows:
                raise ValueError(f"it has {count} rows; expected {table.rows}")
        except (ValueError, EOFError, RecursionError, StopIteration, gzip.BadGzipFile, zlib.error) as error:
            raise BackupFailed(f"The file {key} cannot be restored: {error}. The database is still empty.") from error


def _require_empty_database(database_url: str) -> str | None:
    """Return the identity of the storage that the database knows, as after `fitqueue migrate`.

    Raises:
        BackupFailed: the database has rows.
    """
    with closing(Database(database_url)) as database:
        with database.read() as session:
            counts = table_rows.count_all(session)
        counts.pop("storage_identity", 0)
        if counts:
            found = ", ".join(f"{count} in '{table}'" for table, count in counts.items())
            raise BackupFailed(f"The database is not empty, it has rows: {found}. Restore into an empty database.")
        try:
            with database.read() as session:
                return storage_identity.read(session)
        except DatabaseOutdated:  # it has no tables yet
            return None


def _keep_identity(database: Database, identity: str | None) -> None:
    """Write the identity that was in the database before its tables were created anew.

    Without it, the storage that was marked with it would be that of another database after a failure.
    """
    if identity is not None:
        with database.write() as session:
            storage_identity.write_if_missing(session, identity)


def _is_stored(storage: Storage, file: SavedFile, present: dict[str, int]) -> bool:
    return present.get(file.key) == file.size and reads_back(storage, file.key, file.sha256)


def _lines(file: IO[str]) -> Iterator[Any]:
    while line := file.readline(_MAX_LINE):
        yield json.loads(line)
