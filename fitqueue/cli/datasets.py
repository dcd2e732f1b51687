"""The commands about data sets."""

from pathlib import Path
from typing import Any

import click

from fitqueue.cli.batch import for_each
from fitqueue.cli.data_file import refuse_other_files
from fitqueue.cli.options import json_option, mine_option, owner_of, owner_option, project_filter, project_option
from fitqueue.cli.output import print_facts, print_json, print_table, remark, transfer_bar
from fitqueue.cli.suggestions import SuggestingGroup
from fitqueue.cli.tables import Column, if_several
from fitqueue.cli.text import size, time_and_name
from fitqueue.client import Client
from fitqueue.roles import DEFAULT_PROJECT
from fitqueue.views import ArrayView, DatasetView
from fitqueue.weights import are_weights


@click.group(cls=SuggestingGroup)
def dataset() -> None:
    """Add, list, show and remove data sets."""


@dataset.command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="The name that jobs use for it; by default the name of the file without its ending.")
@project_option
@json_option
def add(file: Path, name: str | None, project: str | None, as_json: bool) -> None:
    """Upload FILE and print its id: an `.npz` of arrays, a single `.npy`, or weights (`.weights.h5`, `.keras`, `.h5`).

    Content that is already there under this name is not uploaded again.
    """
    refuse_other_files(file)
    with Client() as client, transfer_bar(file.name) as on_progress:
        view = client.upload(file, name or file.stem, project=project or DEFAULT_PROJECT, on_progress=on_progress)
    if as_json:
        print_json(view)
        return
    click.echo(view.id)
    for array in view.left_out:
        remark(f"Left out: {array.name}: {array.reason}.")
    field = "initial_weights" if are_weights(array.name for array in view.arrays) else "data"
    remark(f'To use it in a job: "{field}": {{"dataset": "{view.name}", …}}')


@dataset.command("list")
@click.option("--all", "unnamed", is_flag=True, help="Also list those that were uploaded without a name.")
@owner_option
@mine_option
@project_filter
@click.option("--submitted-by", metavar="NAME", help="Only those that were uploaded with a token of this name.")
@json_option
def list_all(owner: str | None, mine: bool, as_json: bool, **filters: Any) -> None:
    """List the data sets, including the built-in ones, which belong to nobody."""
    with Client() as client:
        rows = list(client.datasets(owner=owner_of(client, owner, mine=mine), **filters))
    if as_json:
        print_json(rows)
    else:
        columns: list[Column | str] = [
            Column("NAME", wraps=True),
            Column("ID", rank=3),
            "SIZE",
            Column("ARRAYS", wraps=True, rank=1),
            Column("OWNER", wraps=True, rank=4),
            Column("PROJECT", wraps=True, rank=5),
        ]
        owners, projects = if_several([row.owner for row in rows]), if_several([row.project for row in rows])
        print_table(columns, [[*_row(row), *names] for row, *names in zip(rows, owners, projects, strict=True)])


@dataset.command()
@click.argument("name_or_id")
@json_option
def show(name_or_id: str, as_json: bool) -> None:
    """Show one data set and its arrays."""
    with Client() as client:
        view = client.dataset(name_or_id)
    if as_json:
        print_json(view)
        return
    arrays = "\n".join(
        ", ".join([f"{array.name} {_shape(array)} {array.dtype}", *_values(array)]) for array in view.arrays
    )
    rows = [
        ("Name", view.name),
        ("Id", view.id),
        ("Arrays", arrays),
        ("Left out", "\n".join(f"{array.name}: {array.reason}" for array in view.left_out)),
        ("Size", size(view.size)),
        ("sha256", view.sha256 or ""),
        ("Source", view.source or ""),
        ("Owner", view.owner or ""),
        ("Project", view.project or ""),
        ("Added", time_and_name(view.created_at, view.submitted_by)),
    ]
    print_facts(rows)


@dataset.command()
@click.argument("names_or_ids", nargs=-1, required=True)
def remove(names_or_ids: tuple[str, ...]) -> int:
    """Remove uploaded data sets.

    A data set that a queued, running or paused job needs cannot be removed.
    """

    def action(client: Client, name_or_id: str) -> str:
        client.delete_dataset(name_or_id)
        return "removed"

    return for_each(names_or_ids, action)


def _row(view: DatasetView) -> list[str]:
    if view.arrays and are_weights(array.name for array in view.arrays):
        arrays = f"weights of a model, {len(view.arrays)} arrays"
    else:
        arrays = ", ".join(f"{array.name} {_shape(array)}" for array in view.arrays)
    return [view.name, "built in" if view.builtin else view.id, size(view.size), arrays]


def _shape(array: ArrayView) -> str:
    return "×".join("?" if length is None else str(length) for length in array.shape)


def _values(array: ArrayView) -> list[str]:
    """Return what is worth knowing about the values of an array, in words."""
    counts = (
        (array.class_count, "class", "classes"),
        (array.nan_count, "NaN", "NaN"),
        (array.infinite_count, "infinite", "infinite"),
    )
    extent = [] if array.minimum is None else [f"{array.minimum:.6g} to {array.maximum:.6g}"]
    return extent + [f"{count} {singular if count == 1 else plural}" for count, singular, plural in counts if count]
