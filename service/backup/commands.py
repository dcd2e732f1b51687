"""`fitqueue backup` and `fitqueue restore`."""

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from fitqueue.cli.output import print_table, remark, wrap_for_terminal
from fitqueue.cli.tables import Column
from fitqueue.cli.text import local_time, size
from service.backup.making import Made, make_backup
from service.backup.manifest import Manifest
from service.backup.place import BackupPlace, open_place
from service.backup.progress import Progress
from service.backup.pruning import keep_newest
from service.backup.restoring import Restore
from service.command_errors import database_errors_explained, read_settings, service_settings
from service.db import Database, sqlite_file
from service.settings import Settings
from service.storage import WORKER_RETRY_TIMEOUT, open_storage
from service.storage_address import Bucket, parse_address
from service.storage_marking import identity_reader

INCOMPLETE = 1
"""The exit code for a backup without the files that the storage had lost."""

SHOWN_FILES = 5


class _Place(click.ParamType[Path | Bucket]):
    """A folder, or a bucket."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | Bucket:
        try:
            address: Path | Bucket = parse_address(value)
        except ValueError as error:
            self.fail(f"'{value}': {error}.", param, ctx)
        return address


@click.command()
@click.argument("target", type=_Place())
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Remove all but the newest N backups, and files of those."
)
def backup(target: Path | Bucket, keep: int | None) -> int:
    """Back up the database and the files of the service, while it runs.

    TARGET is a folder, or s3://bucket/prefix. It holds any number of backups, which share files: the second one copies
    only what is new. A backup is as of one moment: the rows, and all files that they refer to. Jobs that run at that
    moment resume from their last snapshots when it is restored.

    What is backed up is the database of FITQUEUE_DATABASE_URL with the storage of FITQUEUE_STORAGE, or else what
    `fitqueue up` has in var, in this folder or a parent. Run it where the API runs.

    \b
    Exit codes:
      0  the backup is complete
      1  it lacks files that the storage had lost before
      3  it was not made
      4  the database cannot be reached
    """
    settings = service_settings()
    if isinstance(target, Path):
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = open_place(settings, target)
    with database_errors_explained(), closing(Database(settings.database_url)) as database:
        storage = open_storage(settings, WORKER_RETRY_TIMEOUT, identity_reader(database))
        made = make_backup(database, storage, place, Progress("Copying"))
    click.echo(wrap_for_terminal(_summary(made)))
    if keep is not None and (removed := keep_newest(place, keep)) != (0, 0):
        click.echo(
            wrap_for_terminal(
                f"{_counted(removed.backups, 'older backup')} and {_counted(removed.files, 'file')} were removed."
            )
        )
    if made.lost:
        remark(_lost_files(made))
        return INCOMPLETE
    return 0


def _summary(made: Made) -> str:
    verb = "was" if made.copied == 1 else "were"
    return (
        f"The backup {made.name} is complete: {_contents(made.manifest)}."
        f" {_counted(made.copied, 'file')} of {size(made.copied_bytes)} {verb} new."
    )


def _contents(manifest: Manifest) -> str:
    jobs, files = manifest.rows_of("jobs"), len(manifest.files)
    return f"{_counted(jobs, 'job')}, and {_counted(files, 'file')} of {size(manifest.file_bytes)}"


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' * (count != 1)}"


def _lost_files(made: Made) -> str:
    shown = "\n".join(f"    {file.key} {file.why}" for file in made.lost[:SHOWN_FILES])
    more = f"\n    … and {len(made.lost) - SHOWN_FILES} more" if len(made.lost) > SHOWN_FILES else ""
    return f"The storage lacks files that the database refers to, so the backup does, too:\n{shown}{more}"


@click.command()
@click.argument("source", type=_Place())
@click.option("--backup", "name", metavar="NAME", help="Which backup, by its name; by default the newest one.")
@click.option("--list", "lists", is_flag=True, help="List the backups, and restore none.")
def restore(source: Path | Bucket, name: str | None, lists: bool) -> None:
    """Restore a backup into an empty database and an empty storage.

    SOURCE is what was the TARGET of `fitqueue backup`. The database is that of FITQUEUE_DATABASE_URL, by default
    var/fitqueue.db in this folder, and the storage that of FITQUEUE_STORAGE, by default var/storage. They need not be
    of the same kind as before: a backup of SQLite can be restored into PostgreSQL, and a folder into a bucket.

    Start the service afterwards, not before. Jobs that were running are queued again and resume from their last
    snapshots. Tokens stay valid; browsers must log in again. A backup of an older version is upgraded.

    If it fails or is interrupted, nothing is in the database. Correct what is wrong, and give the command again.
    """
    settings = read_settings()
    place = open_place(settings, source)
    if lists:
        _print_backups(place)
        return
    name = name or place.newest()
    manifest = place.read(name)
    _make_folders(settings)
    storage = open_storage(settings, WORKER_RETRY_TIMEOUT, lambda: None)
    with database_errors_explained():
        requeued = Restore(place, name, manifest).run(settings.database_url, storage, Progress("Restoring"))
    click.echo(wrap_for_terminal(_restored(name, manifest, requeued)))


def _make_folders(settings: Settings) -> None:
    if (file := sqlite_file(settings.database_url)) is not None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if isinstance(settings.storage, Path):
        settings.storage.mkdir(parents=True, exist_ok=True)


def _restored(name: str, manifest: Manifest, requeued: int) -> str:
    lines = [f"The backup {name} of {local_time(manifest.created_at)} is restored: {_contents(manifest)}."]
    if requeued:
        lines.append(f"Jobs that were running are queued again: {requeued}.")
    if manifest.missing:
        lines.append(
            f"Files that the storage had lost before the backup, and that are missing: {len(manifest.missing)}."
        )
    return "\n".join([*lines, "Now start the service."])


def _print_backups(place: BackupPlace) -> None:
    rows = [_row(place, name) if is_finished else [name, "unfinished"] for name, is_finished in place.backups().items()]
    columns: list[str | Column] = [
        "NAME",
        "CREATED",
        Column("JOBS", rank=3),
        Column("FILES", rank=4),
        Column("SIZE", rank=2),
        "VERSION",
    ]
    print_table(columns, [[*row, *[""] * (len(columns) - len(row))] for row in rows])


def _row(place: BackupPlace, name: str) -> list[str]:
    manifest = place.read(name)
    return [
        name,
        local_time(manifest.created_at),
        str(manifest.rows_of("jobs")),
        str(len(manifest.files)),
        size(manifest.file_bytes),
        manifest.revision,
    ]
