"""Options that several commands share."""

from pathlib import Path

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")

wait_option = click.option(
    "--wait",
    is_flag=True,
    help="Follow the job until it ends. Exit code: 0 if it succeeded, 1 if it failed, 2 if it was cancelled.",
)

follow_option = click.option("-f", "--follow", is_flag=True, help="Continue until the job has ended.")

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write, or a folder for it; by default the current folder.",
)
