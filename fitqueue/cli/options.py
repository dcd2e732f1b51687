"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # `catalogue` has options and needs no client
    from fitqueue.client import Client

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")

mine_option = click.option("--mine", is_flag=True, help="Only what is your own.")

owner_option = click.option("--owner", metavar="USER", help="Only what belongs to this user.")

project_filter = click.option("--project", help="Only what belongs to this project.")

project_option = click.option("--project", help="The project that it belongs to, which others see with it.")

wait_option = click.option(
    "--wait",
    is_flag=True,
    help="Follow the job until it ends. Exit code: 0 if it succeeded, 1 if it failed, 2 if it was cancelled.",
)

follow_option = click.option("-f", "--follow", is_flag=True, help="Continue until the job has ended.")


def label_of(text: str) -> tuple[str, str]:
    """Return the key and the value of a label that was given as KEY=VALUE.

    Raises:
        click.BadParameter: it is not one.
    """
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise click.BadParameter(f"'{text}' is not a label; expected KEY=VALUE", param_hint="--label")
    return key, value


output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write, or a folder for it; by default the current folder.",
)


def owner_of(client: "Client", owner: str | None, *, mine: bool) -> str | None:
    """Return the name of the user whose jobs or data sets are listed; None: those of all.

    Raises:
        click.UsageError: two users are asked for.
    """
    if not mine:
        return owner
    if owner is not None:
        raise click.UsageError("--mine and --owner exclude each other.")
    return client.me().user.name


def present(*values: object) -> bool:
    """Tell whether one of the options was given."""
    return any(value is not None for value in values)
