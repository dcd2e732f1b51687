"""The command line, `fitqueue …`. This module starts fast and decides the exit code; the commands are elsewhere."""

from collections.abc import Sequence

import click

from fitqueue.cli.commands import Commands

INTERRUPTED = 130
"""The exit code that shells show for a program that SIGINT ended."""


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fitqueue", message="fitqueue %(version)s")
def cli() -> None:
    """Train Keras models on a FitQueue service: submit a job, watch it train, download its best weights.

    The address and the token of the service come from FITQUEUE_URL and FITQUEUE_TOKEN. Without these, they come from
    var/client.json in the current folder or its parents, which `fitqueue up` writes, or else from
    ~/.config/fitqueue/client.json, which `fitqueue login` writes.

    JOB is the id of a job, the beginning of one, the name of a job if no other job has it, or `latest`.

    \b
    Exit codes:
      0    success; with `watch` and --wait: the job succeeded
      1    with `watch` and --wait: the job failed
      2    with `watch` and --wait: the job was cancelled
      3    the command line is wrong, or a request was refused
      4    no service is configured, or it does not answer
      130  interrupted with Ctrl-C
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: the one that the command returns, or 0 if it returns None."""
    try:
        code = cli.main(arguments, prog_name="fitqueue", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        from fitqueue.cli.failures import report

        return report(error)
    return code if isinstance(code, int) else 0
