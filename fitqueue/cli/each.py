"""Commands that take several jobs, or several data sets."""

from collections.abc import Callable, Sequence

from fitqueue.cli import failures
from fitqueue.cli.output import say
from fitqueue.client import Client
from fitqueue.errors import Conflict, NotFound


def ask_each(names: Sequence[str], ask: Callable[[Client, str], str]) -> int:
    """Ask and say what came of it. One that refuses keeps none of the others from being asked; the exit code tells."""
    code = 0
    with Client() as client:
        for name in names:
            try:
                say(f"{name}: {ask(client, name)}")
            except (NotFound, Conflict) as error:
                code = failures.report(error)
    return code
