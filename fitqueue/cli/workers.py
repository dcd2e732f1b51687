"""The command that lists workers."""

import click

from fitqueue.cli.options import json_option
from fitqueue.cli.output import cell, print_json, print_table
from fitqueue.cli.text import local_time
from fitqueue.client import Client


@click.command()
@json_option
def workers(as_json: bool) -> None:
    """List the workers of the last day, with their devices and the jobs that they are training."""
    with Client() as client:
        rows = client.workers()
    if as_json:
        print_json(rows)
        return
    print_table(
        ["ID", "HOST", "STATE", "POOLS", "SLOTS", "DEVICES", "JOBS", "LAST SEEN"],
        [
            [
                row.id,
                row.host,
                cell("alive", "green") if row.alive else cell("gone", "red"),
                ", ".join(row.pools),
                f"{len(row.jobs)}/{row.slots}",
                ", ".join(row.devices),
                ", ".join(row.jobs),
                local_time(row.last_seen_at),
            ]
            for row in rows
        ],
    )
