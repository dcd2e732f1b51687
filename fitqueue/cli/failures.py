"""Error messages of the command line, and the exit codes that go with them."""

from typing import Any, Final

import click

from fitqueue.cli.text import printable
from fitqueue.errors import DatabaseUnavailable, Fault, FitQueueError, NotConfigured, Unauthenticated, Unreachable
from fitqueue.text import truncate

REFUSED = 3
NO_SERVICE = 4

_BEGIN: Final = "Error: "
"""What click prints before a message."""
_COMMAND: Final = "    "
"""The indentation of a command in a message."""


def report(error: Exception) -> int:
    """Print the error to stderr and return the exit code. An unexpected error is raised again, with its traceback."""
    if isinstance(error, click.ClickException):
        _show(error)
        return REFUSED
    if isinstance(error, FitQueueError):
        from fitqueue.cli.output import wrap_for_terminal

        click.echo(wrap_for_terminal(describe(error), stderr=True), err=True)
        return NO_SERVICE if isinstance(error, NotConfigured | Unreachable | DatabaseUnavailable) else REFUSED
    if isinstance(error, OSError):
        click.echo(f"Error: {error}", err=True)
        return REFUSED
    raise error


def _show(error: click.ClickException) -> None:
    """Print the error. Its sentences are wrapped to the terminal; the commands in it, which are copied, are not."""
    if type(error) is click.UsageError:
        click.UsageError(_wrapped(error.message), error.ctx).show()
    elif type(error) is click.ClickException:
        click.ClickException(_wrapped(error.message)).show()
    else:
        error.show()


def _wrapped(message: str) -> str:
    from fitqueue.cli.output import wrap_for_terminal

    lines = f"{_BEGIN}{message}".split("\n")
    wrapped = (line if line.startswith(_COMMAND) else wrap_for_terminal(line, stderr=True) for line in lines)
    return "\n".join(wrapped).removeprefix(_BEGIN)


def describe(error: FitQueueError) -> str:
    """Return the error's message and, below it, each fault: where it is, what was received, and what was expected."""
    message = error.message
    if isinstance(error, Unauthenticated) and "fitqueue login" not in message:
        message += " Run `fitqueue login`, or set FITQUEUE_TOKEN."
    return "\n".join([f"Error: {printable(message)}", *map(_describe_fault, error.errors)])


def _describe_fault(fault: Fault) -> str:
    lines = [f"  {fault.pointer or '/'}: {fault.message}"]
    if fault.received is not None or fault.expected is not None:
        # A message that says itself what was expected has no `expected`.
        expected = f"; expected {fault.expected}" if fault.expected else ""
        lines.append(f"      received {_as_json(fault.received)}{expected}")
    return printable("\n".join(lines))


def _as_json(value: Any) -> str:
    from json import dumps

    return truncate(dumps(value, ensure_ascii=False), 100)
