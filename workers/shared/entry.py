"""The one function that the worker names and the child runs.

The child unpickles its target by name, so this module is all that the start of a child imports: neither Celery nor the
store comes with it. The other way about, the worker imports it without TensorFlow: the trainer is reached by its
module's name, never by an import.
"""

from importlib import import_module
from multiprocessing.connection import Connection
from typing import NamedTuple


class ChildPipes(NamedTuple):
    """The child's ends. They travel as Connections because those are what multiprocessing passes to a new process."""

    control: Connection
    events: Connection
    stdout: Connection
    stderr: Connection


def enter(module: str, pipes: ChildPipes) -> None:
    """Run `module.main(pipes)`."""
    import_module(module).main(pipes)
