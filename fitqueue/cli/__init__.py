"""The command line, `fitqueue …`: this module starts fast and decides the exit code; each command lives elsewhere."""

from collections.abc import Sequence

import click

from fitqueue.cli.commands import Commands

INTERRUPTED = 130
"""What a shell shows for a program that SIGINT ended."""


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fitqueue", message="fitqueue %(version)s")
def cli() -> None:
    """Train Keras models on a FitQueue service: submit a job, watch it train, fetch its best weights.

    The service is the one of FITQUEUE_URL and FITQUEUE_TOKEN, or else of var/client.json in this folder or one
    above (`fitqueue up` writes it), or of ~/.config/fitqueue/client.json.

    \b
    Exit codes
      0  done; for `watch` and `submit --wait`: the job succeeded
      1  `watch`, `submit --wait`: the job failed
      2  `watch`, `submit --wait`: the job was cancelled
      3  refused: a wrong command line, or the service's answer says why
      4  no service: none is known, or it does not answer
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; a command returns its own, or None for 0."""
    try:
        code = cli.main(arguments, prog_name="fitqueue", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        from fitqueue.cli.failures import report

        return report(error)
    return code if isinstance(code, int) else 0
