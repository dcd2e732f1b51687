"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # `catalogue` has options and needs no client
    from fitqueue.client import Client

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")

mine_option = click.option("--mine", is_flag=True, help="Only what was submitted with your token.")

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


def submitter(client: "Client", name: str | None, *, mine: bool) -> str | None:
    """Return the name of the token whose jobs or data sets are listed; None: those of all.

    Raises:
        click.UsageError: two names are asked for.
    """
    if not mine:
        return name
    if name is not None:
        raise click.UsageError("--mine and --submitted-by exclude each other.")
    return client.me().token.name
