"""Output: consoles, JSON, tables, remarks on stderr, and a progress bar for file transfers."""

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
"""The width of a file or a pipe: wide enough that no cell of a table is cut."""


def make_console(*, stderr: bool = False) -> Console:
    """Return a console for stdout or stderr; without a terminal it is wide enough for any table."""
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=None if is_terminal else WIDTH_WITHOUT_TERMINAL)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON to stdout."""
    click.echo(to_json(value, indent=indent).decode())


def remark(message: str) -> None:
    """Print a message for people to stderr. Only the requested output goes to stdout, so that it can be piped."""
    click.echo(printable(message), err=True)


def cell(text: str, style: str = "") -> Text:
    """Return a text for a table or a list, with control characters escaped."""
    # Text is never parsed as rich's markup, so «[red]» in a name stays as it is.
    return Text(printable(text), style=style)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under the headings of their columns to stdout."""
    console = make_console()
    table = Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0])
    for row in rows:
        table.add_row(*(value if isinstance(value, Text) else cell(value) for value in row))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def facts(rows: Iterable[tuple[str, str | Text]]) -> Text:
    """Return names and their values, one per line. Rows without a value are left out."""
    shown = [(name, value if isinstance(value, Text) else cell(value)) for name, value in rows if value]
    width = max(len(name) for name, _ in shown) + 2
    indented_newline = Text("\n" + " " * width)
    return Text("\n").join(
        Text.assemble((f"{name:<{width}}", "bold"), indented_newline.join(value.split("\n"))) for name, value in shown
    )


@contextmanager
def transfer_bar(name: str) -> Iterator[OnProgress]:
    """Show a progress bar on stderr while a file is transferred, if stderr is a terminal."""
    console = make_console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(printable(name), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
