"""The command that shows what a job may name. It asks no service: the catalogue is part of this package."""

import json
from typing import Any

import click

from fitqueue.cli.jobs import as_json
from fitqueue.cli.output import facts, make_console, print_json, print_table
from fitqueue.spec.keras_objects import catalogue as known
from fitqueue.spec.keras_objects.values import describe
from fitqueue.spec.report import did_you_mean

Found = list[tuple[str, known.Entry]]
"""Classes with their kinds: a name may stand for several, as MeanSquaredError does."""


@click.command()
@click.argument("name", required=False)
@as_json
def catalogue(name: str | None, as_json: bool) -> None:
    """Show what a job may name, or the arguments of one class: `fitqueue catalogue LSTM`."""
    if name is None:
        _show_all(as_json)
        return
    found = _find(name)
    if as_json:
        print_json({kind: known.raw_catalogue()["kinds"][kind]["classes"][entry.name] for kind, entry in found})
        return
    for kind, entry in found:
        _show(kind, entry)


def _show_all(as_json: bool) -> None:
    if as_json:
        print_json(known.raw_catalogue())
        return
    kinds = {kind: known.kind(kind) for kind in known.raw_catalogue()["kinds"]}
    print_table(["KIND", "NAMES"], [(kind, ", ".join(one.classes or one.names)) for kind, one in kinds.items()])


def _find(name: str) -> Found:
    """Raises click.UsageError for a name that is not in the catalogue, with the reason where it is left out."""
    kinds = list(known.raw_catalogue()["kinds"])
    found = [(kind, entry) for kind in kinds if (entry := known.kind(kind).find(name)) is not None]
    if found:
        return found
    if reason := next((reason for kind in kinds if (reason := known.left_out(name, kind))), None):
        raise click.UsageError(f"{name} is left out. {reason}")
    names = [one for kind in kinds for one in known.kind(kind).all_names()]
    plain = [kind for kind in kinds if name in known.kind(kind).names]
    if plain:
        raise click.UsageError(f"{name} is one of the {plain[0]}, and takes no arguments.")
    raise click.UsageError(f"There is no {name!r} in the catalogue." + did_you_mean(name, names))


def _show(kind: str, entry: known.Entry) -> None:
    make_console().print(facts([(entry.name, entry.description), ("Kind", kind)]), soft_wrap=True)
    click.echo()
    rows = [_row(name, schema, entry) for name, schema in entry.properties.items()]
    print_table(["ARGUMENT", "DEFAULT", "TAKES", "MEANING"], rows)


def _row(name: str, schema: known.Schema, entry: known.Entry) -> tuple[str, str, str, str]:
    default: Any = "required" if name in entry.required else json.dumps(schema.get("default"))
    return name, str(default), describe(schema), str(schema.get("description", ""))
