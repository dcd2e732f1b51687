"""The command that shows the Keras objects a job may use. It needs no service: the catalogue is in this package."""

import json
from typing import Any

import click

from fitqueue.cli.options import json_option
from fitqueue.cli.output import for_terminal, print_facts, print_json, print_paragraph, print_table
from fitqueue.cli.tables import Column
from fitqueue.spec.findings import did_you_mean
from fitqueue.spec.keras_objects import catalogue as keras_catalogue
from fitqueue.spec.keras_objects.values import describe

Entries = list[tuple[str, keras_catalogue.Entry]]
"""Classes, each with its kind. One name can stand for several classes: MeanSquaredError is a loss and a metric."""


@click.command()
@click.argument("name", required=False)
@json_option
def catalogue(name: str | None, as_json: bool) -> None:
    """Show the layers, optimizers, losses and other Keras objects that a job may use.

    With NAME, show the arguments of that class: `fitqueue catalogue LSTM`.
    """
    if name is None:
        _show_all(as_json)
        return
    entries = _find(name)
    if as_json:
        kinds = keras_catalogue.raw_catalogue()["kinds"]
        print_json({kind: kinds[kind]["classes"][entry.name] for kind, entry in entries})
        return
    for kind, entry in entries:
        _show(kind, entry)


def _show_all(as_json: bool) -> None:
    if as_json:
        print_json(keras_catalogue.raw_catalogue())
        return
    kinds = {name: keras_catalogue.kind(name) for name in keras_catalogue.raw_catalogue()["kinds"]}
    rows = [(name, ", ".join(kind.classes or kind.names)) for name, kind in kinds.items()]
    if not for_terminal():
        print_table(["KIND", "NAMES"], rows)
        return
    for row in rows:
        print_paragraph(*row)


def _find(name: str) -> Entries:
    """Return the classes with this name.

    Raises:
        click.UsageError: the catalogue has no such class; says why, if it was left out on purpose.
    """
    kinds = list(keras_catalogue.raw_catalogue()["kinds"])
    entries = [(kind, entry) for kind in kinds if (entry := keras_catalogue.kind(kind).find(name)) is not None]
    if entries:
        return entries
    if reason := next((reason for kind in kinds if (reason := keras_catalogue.left_out(name, kind))), None):
        raise click.UsageError(f"{name} is left out. {reason}")
    if kind := next((kind for kind in kinds if name in keras_catalogue.kind(kind).names), None):
        raise click.UsageError(f"{name} is one of the {kind}, and takes no arguments.")
    known_names = [known_name for kind in kinds for known_name in keras_catalogue.kind(kind).all_names()]
    raise click.UsageError(f"{name!r} is not in the catalogue." + did_you_mean(name, known_names))


def _show(kind: str, entry: keras_catalogue.Entry) -> None:
    print_facts([(entry.name, entry.description), ("Kind", kind)])
    click.echo()
    rows = [_row(name, schema, entry) for name, schema in entry.properties.items()]
    columns: list[Column | str] = [
        "ARGUMENT",
        Column("DEFAULT", wraps=True),
        Column("TAKES", wraps=True, rank=4),
        Column("MEANING", wraps=True, rank=3),
    ]
    print_table(columns, rows)


def _row(name: str, schema: keras_catalogue.Schema, entry: keras_catalogue.Entry) -> tuple[str, str, str, str]:
    default: Any = "required" if name in entry.required else json.dumps(schema.get("default"))
    return name, str(default), describe(schema), str(schema.get("description", ""))
