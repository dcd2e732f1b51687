"""The function that a child starts with. The worker names it, and the child runs it.

A child unpickles its target by name, so importing this module is all that its start costs: neither Celery nor the store
comes with it. Conversely, the worker imports it without TensorFlow, because it names the trainer's module and never
imports it.
"""

from importlib import import_module
from multiprocessing.connection import Connection
from typing import NamedTuple


class ChildPipes(NamedTuple):
    """The child's ends of its pipes: Connections, because multiprocessing can pass those to a new process."""

    control: Connection
    reports: Connection
    stdout: Connection
    stderr: Connection


def enter(module: str, pipes: ChildPipes) -> None:
    """Run `module.main(pipes)`."""
    import_module(module).main(pipes)
