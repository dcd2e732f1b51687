"""Commands that take several jobs, data sets, workers or users."""

from collections.abc import Callable, Sequence

from fitqueue.cli import failures
from fitqueue.cli.output import remark
from fitqueue.client import Client
from fitqueue.errors import Conflict, Forbidden, NotFound


def for_each(names: Sequence[str], action: Callable[[Client, str], str]) -> int:
    """Perform an action on each name and remark its outcome; return the exit code.

    If the service refuses one of them, the error is printed and the others still have their turn.

    Args:
        names: jobs, data sets, workers or users.
        action: what to do with one of them; it returns the outcome in a word or two.
    """
    code = 0
    with Client() as client:
        for name in names:
            try:
                remark(f"{name}: {action(client, name)}")
            except (NotFound, Conflict, Forbidden) as error:
                code = failures.report(error)
    return code
