"""Error messages of the command line, and the exit codes that go with them."""

from typing import Any

import click

from fitqueue.cli.text import printable
from fitqueue.errors import DatabaseUnavailable, Fault, FitQueueError, NotConfigured, Unauthenticated, Unreachable
from fitqueue.text import truncate

REFUSED = 3
NO_SERVICE = 4


def report(error: Exception) -> int:
    """Print the error to stderr and return the exit code. An unexpected error is raised again, with its traceback."""
    if isinstance(error, click.ClickException):
        error.show()
        return REFUSED
    if isinstance(error, FitQueueError):
        click.echo(describe(error), err=True)
        return NO_SERVICE if isinstance(error, NotConfigured | Unreachable | DatabaseUnavailable) else REFUSED
    if isinstance(error, OSError):
        click.echo(f"Error: {error}", err=True)
        return REFUSED
    raise error


def describe(error: FitQueueError) -> str:
    """Return the error's message and, below it, each fault: where it is, what was received, and what was expected."""
    message = error.message
    if isinstance(error, Unauthenticated) and "fitqueue login" not in message:
        message += " Run `fitqueue login`, or set FITQUEUE_TOKEN."
    return "\n".join([f"Error: {printable(message)}", *map(_describe_fault, error.errors)])


def _describe_fault(fault: Fault) -> str:
    lines = [f"  {fault.pointer or '/'}: {fault.message}"]
    if fault.received is not None or fault.expected is not None:
        lines.append(f"      received {_as_json(fault.received)}; expected {fault.expected or 'something else'}")
    return printable("\n".join(lines))


def _as_json(value: Any) -> str:
    from json import dumps

    return truncate(dumps(value, ensure_ascii=False), 100)
