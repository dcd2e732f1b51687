"""The command `fitqueue prune`, which removes now what workers would remove soon."""

from collections.abc import Sequence
from contextlib import closing

import click

from fitqueue.cli.output import count_bar, print_table, wrap_for_terminal
from fitqueue.cli.tables import Column
from fitqueue.cli.text import size
from fitqueue.errors import WrongStorage
from fitqueue.retention import NAMES
from service.command_errors import database_errors_explained, service_settings
from service.db import Database
from service.purging import removals_of
from service.settings import Settings
from service.storage import REQUEST_RETRY_TIMEOUT, open_storage
from service.storage_marking import identity_reader
from service.store import retention_preview
from service.store.retention_preview import DueAmount


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed, and how many bytes that is.")
def prune(dry_run: bool) -> None:
    """Remove what the retention of their projects no longer keeps of ended jobs.

    Workers do the same all the time; this is for a disk that is nearly full. It uses the database of
    FITQUEUE_DATABASE_URL and the storage of FITQUEUE_STORAGE, or else those in var in this folder or a parent.
    """
    settings = service_settings()
    with database_errors_explained(), closing(Database(settings.database_url)) as database:
        with database.read() as session:
            due = retention_preview.read(session)
        if not due:
            click.echo(wrap_for_terminal("There is nothing to remove: the projects keep all that there is."))
            return
        _print(due)
        freed = sum(amount.bytes for amount in due)
        if dry_run:
            click.echo(wrap_for_terminal(f"\nNothing was removed. It would free {size(freed)}."))
        else:
            rows, freed = _remove(database, settings, sum(amount.rows for amount in due))
            click.echo(wrap_for_terminal(f"\nRemoved {rows:,} rows, and files with {size(freed)}."))


def _print(due: Sequence[DueAmount]) -> None:
    project, what = Column("PROJECT", wraps=True), Column("WHAT", wraps=True)
    print_table(
        [project, what, "AFTER", "JOBS", "ROWS", "SIZE"],
        [
            [each.project, NAMES[each.what], f"{each.days} d", f"{each.jobs:,}", f"{each.rows:,}", size(each.bytes)]
            for each in due
        ],
    )


def _remove(database: Database, settings: Settings, total: int) -> tuple[int, int]:
    """Remove all that is due; return how many rows, and how many bytes of files.

    Raises:
        WrongStorage: the storage cannot be opened, or is not that of the database.
    """
    rows = freed = 0
    try:
        storage = open_storage(settings, REQUEST_RETRY_TIMEOUT, identity_reader(database))
        storage.verify()
    except OSError as error:
        raise WrongStorage(f"The storage of FITQUEUE_STORAGE cannot be used: {error}") from error
    with count_bar("Removing", total) as advance:
        for removed in removals_of(database, storage):
            rows += removed.rows
            freed += removed.bytes
            advance(removed.rows)
    return rows, freed
