"""Makes a backup while the service runs: files and rows that belong together.

Files never change, but they are deleted when nothing refers to them any more, so a running service deletes some while
they are copied. Therefore most files are copied before the rows are read. Then one transaction sees the database as it
is at one moment: what is new until then is copied as well, and the rows are written. If a file disappeared in between,
this is repeated, and there is less to copy each time.
"""

import gzip
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

import fitqueue
from fitqueue.errors import NotConfigured
from service import clock
from service.backup.copying import Uncopied, copy_all
from service.backup.errors import BackupFailed
from service.backup.manifest import Manifest, SavedFile, SavedTable, name_of
from service.backup.place import MANIFEST, BackupPlace
from service.backup.progress import Progress
from service.db import Database
from service.migrate import verify_version
from service.storage import Storage
from service.storage.keys import backup_key
from service.store import files, storage_identity, table_rows
from service.store.files import ReferencedFile

ROUNDS: Final = 20
"""How often the rows are looked at anew because files have disappeared."""

_UNFINISHED: Final = timedelta(days=1)
"""The age at which an unfinished file is that of a backup that was interrupted."""


class Made(NamedTuple):
    """A backup that was made."""

    name: str
    manifest: Manifest
    copied: int
    """How many files the place did not have before."""
    copied_bytes: int
    lost: list[Uncopied]
    """Files that rows refer to, and that cannot be copied."""


def make_backup(database: Database, storage: Storage, place: BackupPlace, progress: Progress) -> Made:
    """Make a backup.

    Raises:
        BackupFailed: the place is used for something else, or files disappear faster than they can be copied.
        DatabaseUnavailable: the database cannot be read.
        OSError: a storage failed. What was copied stays, and the next backup does not copy it again.
    """
    with database.read() as session:
        verify_version(session)
        storage_id = storage_identity.read(session)
        expected = files.referenced(session)
    if storage_id is None:
        raise NotConfigured("The storage has no identity yet: run `fitqueue migrate` first")
    place.claim(storage_id)
    place.storage.delete_old_incoming(_UNFINISHED)
    copier = _Copier(storage, place, progress)
    lost = copier.copy(expected)
    for _ in range(ROUNDS):
        known = lost
        with database.read_frozen() as session:
            moment = _Moment(session)
            lost = copier.copy(moment.files)
            if {file.key for file in lost} <= {file.key for file in known}:
                progress.step("Reading the database …")
                return moment.write(place, storage_id, copier, lost)
    raise BackupFailed(
        f"After {ROUNDS} tries there were still files that had been deleted before they could be copied, such as"
        f" {lost[0].key}. Try again when fewer jobs run."
    )


class _Copier:
    """Copies what the place does not have, and counts it."""

    def __init__(self, storage: Storage, place: BackupPlace, progress: Progress) -> None:
        self._storage = storage
        self._place = place
        self._progress = progress
        self._present = place.sizes()
        self.copied = 0
        self.copied_bytes = 0

    def copy(self, expected: list[ReferencedFile]) -> list[Uncopied]:
        """Copy files; return those that are missing or damaged."""
        new = [file for file in expected if self._present.get(file.key) != file.size]
        with self._progress.copying(len(new), sum(file.size for file in new)) as on_bytes:
            lost = copy_all(self._storage, self._place.storage, new, on_bytes)
        lost_keys = {file.key for file in lost}
        for file in new:
            if file.key not in lost_keys:
                self._present[file.key] = file.size
                self.copied += 1
                self.copied_bytes += file.size
        return lost


class _Moment:
    """The database at one moment."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.revision = verify_version(session)
        self.created_at = clock.now(session)
        self.files = files.referenced(session)

    def write(self, place: BackupPlace, storage_id: str, copier: _Copier, lost: list[Uncopied]) -> Made:
        """Write the rows, and last the manifest."""
        name = name_of(self.created_at)
        lost_keys = {file.key for file in lost}
        manifest = Manifest(
            created_at=self.created_at,
            revision=self.revision,
            fitqueue=fitqueue.__version__,
            storage_id=storage_id,
            tables=tuple(self._write_table(place.storage, name, table) for table in table_rows.names()),
            files=tuple(SavedFile(**file._asdict()) for file in self.files if file.key not in lost_keys),
            missing=tuple(sorted(lost_keys)),
        )
        with _new_file(place.storage) as path:
            path.write_text(manifest.model_dump_json(indent=1))
            place.storage.put(backup_key(name, MANIFEST), path)
        return Made(name, manifest, copier.copied, copier.copied_bytes, lost)

    def _write_table(self, storage: Storage, backup: str, table: str) -> SavedTable:
        with _new_file(storage) as path:
            rows = _write_rows(path, table_rows.columns(table), table_rows.read(self._session, table))
            size, sha256 = path.stat().st_size, _sha256(path)
            saved = SavedTable(name=table, rows=rows, size=size, sha256=sha256)
            storage.put(backup_key(backup, saved.file), path)
        return saved


@contextmanager
def _new_file(storage: Storage) -> Iterator[Path]:
    path = storage.temporary_folder() / secrets.token_hex(16)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write_rows(path: Path, columns: list[str], rows: Iterator[list[object]]) -> int:
    """Write a line for the columns and one for each row; return how many rows there were."""
    count = 0
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=6) as file:
        file.write(f"{json.dumps(columns)}\n")
        for count, row in enumerate(rows, start=1):  # noqa: B007 -- the last one counts
            file.write(f"{json.dumps(row, separators=(',', ':'))}\n")
    return count


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
