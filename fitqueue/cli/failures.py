"""What the command line says when something went wrong, and with which code it ends."""

from typing import Any

import click

from fitqueue.cli.text import printable, shortened
from fitqueue.errors import DatabaseUnavailable, Fault, FitQueueError, NotConfigured, Unreachable

REFUSED = 3
NO_SERVICE = 4


def report(error: Exception) -> int:
    """Says on stderr what is wrong and returns the exit code; what nobody expected is raised again, with its trace."""
    if isinstance(error, click.ClickException):
        error.show()
        return REFUSED
    if isinstance(error, FitQueueError):
        click.echo(in_words(error), err=True)
        return NO_SERVICE if isinstance(error, NotConfigured | Unreachable | DatabaseUnavailable) else REFUSED
    if isinstance(error, OSError):
        click.echo(f"Error: {error}", err=True)
        return REFUSED
    raise error


def in_words(error: FitQueueError) -> str:
    """The error, then each fault: where, what is wrong, what was received and expected."""
    return "\n".join([f"Error: {printable(error.message)}", *map(_fault_in_words, error.errors)])


def _fault_in_words(fault: Fault) -> str:
    lines = [f"  {fault.pointer or '/'}: {fault.message}"]
    if fault.received is not None or fault.expected is not None:
        lines.append(f"      received {_as_json(fault.received)}; expected {fault.expected or 'something else'}")
    return printable("\n".join(lines))


def _as_json(value: Any) -> str:
    from json import dumps

    return shortened(dumps(value, ensure_ascii=False), 100)
