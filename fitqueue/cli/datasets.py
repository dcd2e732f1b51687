"""The commands about data sets and workers."""

from pathlib import Path

import click

from fitqueue.cli.each import ask_each
from fitqueue.cli.jobs import as_json
from fitqueue.cli.output import cell, facts, make_console, print_json, print_table, say, transfer_bar
from fitqueue.cli.text import moment, size
from fitqueue.client import Client
from fitqueue.views import ArrayView, DatasetView


@click.group()
def dataset() -> None:
    """Add, list, show and remove data sets."""


@dataset.command()
@click.argument("file", metavar="FILE.npz", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="The name that jobs call it by; the file's own by default.")
@as_json
def add(file: Path, name: str | None, as_json: bool) -> None:
    """Store an .npz of plain numeric arrays and print its id. The same content twice is one data set."""
    with Client() as client, transfer_bar(file.name) as on_progress:
        view = client.upload(file, name or file.stem, on_progress=on_progress)
    if as_json:
        print_json(view)
        return
    click.echo(view.id)
    say(f'In a job: "data": {{"dataset": "{view.name}", …}}')


@dataset.command("list")
@as_json
def list_all(as_json: bool) -> None:
    """List the data sets, the built-in ones too."""
    with Client() as client:
        rows = list(client.datasets())
    if as_json:
        print_json(rows)
    else:
        print_table(["NAME", "ID", "SIZE", "ARRAYS"], map(_row, rows))


@dataset.command()
@click.argument("name_or_id")
@as_json
def show(name_or_id: str, as_json: bool) -> None:
    """Show one data set with its arrays."""
    with Client() as client:
        view = client.dataset(name_or_id)
    if as_json:
        print_json(view)
        return
    arrays = "\n".join(f"{array.name} {_shape(array)} {array.dtype}" for array in view.arrays)
    names = [("Name", view.name), ("Id", view.id), ("Arrays", arrays), ("Size", size(view.size))]
    rest = [("sha256", view.sha256 or ""), ("Source", view.source or ""), ("Added", moment(view.created_at))]
    make_console().print(facts([*names, *rest]), soft_wrap=True)


@dataset.command()
@click.argument("names_or_ids", nargs=-1, required=True)
def remove(names_or_ids: tuple[str, ...]) -> int:
    """Remove uploaded data sets that no unfinished job needs."""

    def ask(client: Client, name_or_id: str) -> str:
        client.delete_dataset(name_or_id)
        return "removed"

    return ask_each(names_or_ids, ask)


@click.command()
@as_json
def workers(as_json: bool) -> None:
    """List the workers: their devices, and the jobs that they train."""
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
                moment(row.last_seen_at),
            ]
            for row in rows
        ],
    )


def _row(view: DatasetView) -> list[str]:
    arrays = ", ".join(f"{array.name} {_shape(array)}" for array in view.arrays)
    return [view.name, "built in" if view.builtin else view.id, size(view.size), arrays]


def _shape(array: ArrayView) -> str:
    return "×".join("?" if length is None else str(length) for length in array.shape)
