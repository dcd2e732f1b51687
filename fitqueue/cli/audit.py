"""The command that shows the audit log."""

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import click

from fitqueue.account_views import AuditView
from fitqueue.cli.options import json_option
from fitqueue.cli.output import print_json, print_table, remark
from fitqueue.cli.tables import Column
from fitqueue.cli.text import local_time
from fitqueue.client import Client

_LIMIT: Final = 50


@click.command()
@click.option("--user", metavar="NAME", help="Only what this user has done.")
@click.option("--action", metavar="NAME", help="Only this action, as in `job.cancel`, or those on a kind, as in `job`.")
@click.option("--target", metavar="ID", help="Only what was done to what has this id.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    metavar="TIME",
    help="Only what was done since this day or time, in local time: 2026-12-24, 2026-12-24T18:00.",
)
@click.option(
    "--limit", type=click.IntRange(1), help=f"Show at most this many; by default {_LIMIT}, and all with --json."
)
@json_option
def audit(
    user: str | None,
    action: str | None,
    target: str | None,
    since: datetime | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show who did what, when and from where, newest first. For admins."""
    local_since = None if since is None else since.astimezone()
    with Client() as client:
        entries = client.audit(user=user, action=action, target=target, since=local_since)
        if as_json:
            print_json(list(islice(entries, limit)))
            return
        shown = limit or _LIMIT
        rows = list(islice(entries, shown + 1))
    if not rows:
        remark("Nothing was done.")
        return
    _print_entries(rows[:shown])
    if len(rows) > shown:
        remark(f"The newest {shown}; more with --limit.")


def _print_entries(rows: Sequence[AuditView]) -> None:
    columns = [
        Column("AT"),
        Column("USER", wraps=True),
        Column("ACTION", rank=2),
        Column("TARGET", rank=4),
        Column("FROM", rank=5),
        Column("DETAILS", wraps=True, rank=3),
    ]
    print_table(
        columns,
        [[local_time(row.at), row.user, row.action, row.target, row.address or "", _details(row)] for row in rows],
    )


def _details(row: AuditView) -> str:
    """Return the data of an entry as words: `name: laptop, scope: read`."""
    return ", ".join(f"{name}: {_shown(value)}" for name, value in row.data.items())


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
