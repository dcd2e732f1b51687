"""Where output goes: consoles, JSON, tables of plain cells, and a bar for files on their way."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from pydantic_core import to_json
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from fitqueue.cli.text import printable
from fitqueue.client.files import OnProgress

WIDTH_WITHOUT_TERMINAL = 1000
"""A file or a pipe has no edge at which a cell would have to be cut."""


def make_console(*, stderr: bool = False) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=None if terminal else WIDTH_WITHOUT_TERMINAL)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    click.echo(to_json(value, indent=indent).decode())


def say(message: str) -> None:
    """A remark for people, on stderr: stdout holds what was asked for, so that it can be piped."""
    click.echo(printable(message), err=True)


def cell(text: str, style: str = "") -> Text:
    # Text is never read as rich's markup, so «[red]» in somebody's name stays what it is.
    return Text(printable(text), style=style)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    console = make_console()
    table = Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0])
    for row in rows:
        table.add_row(*(each if isinstance(each, Text) else cell(each) for each in row))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def facts(rows: Iterable[tuple[str, str | Text]]) -> Text:
    """Names and values one below the other; what is empty is left out."""
    shown = [(name, value if isinstance(value, Text) else cell(value)) for name, value in rows if value]
    width = max(len(name) for name, _ in shown) + 2
    below = Text("\n" + " " * width)
    return Text("\n").join(
        Text.assemble((f"{name:<{width}}", "bold"), below.join(value.split("\n"))) for name, value in shown
    )


@contextmanager
def transfer_bar(what: str) -> Iterator[OnProgress]:
    """A bar on stderr while a file travels; nothing where stderr is no terminal."""
    console = make_console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(printable(what), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
