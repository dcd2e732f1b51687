"""Output: consoles, JSON, tables, remarks on stderr, and a progress bar for file transfers."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import click
from pydantic_core import to_json
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from fitqueue.cli.tables import Column, lay_out, wrap
from fitqueue.cli.text import printable
from fitqueue.client.files import OnProgress

WIDTH_WITHOUT_TERMINAL = 1000
"""The width of a file or a pipe: wide enough that no cell of a table is cut."""


def make_console(*, stderr: bool = False) -> Console:
    """Return a console for stdout or stderr; without a terminal it is wide enough for any table."""
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=None if is_terminal else WIDTH_WITHOUT_TERMINAL)


def width_of(console: Console) -> int | None:
    """Return the width that lines should have: that of the terminal; None for a file or a pipe, which has none."""
    return console.width if console.file.isatty() else None


def for_terminal() -> bool:
    """Return whether a person reads stdout, and not a file or a pipe."""
    return sys.stdout.isatty()


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON to stdout."""
    click.echo(to_json(value, indent=indent).decode())


def remark(message: str) -> None:
    """Print a message for people to stderr. Only the requested output goes to stdout, so that it can be piped."""
    click.echo(wrap_for_terminal(printable(message), stderr=True), err=True)


def wrap_for_terminal(text: str, *, stderr: bool = False) -> str:
    """Return the text with its long lines wrapped to the width of the terminal; unchanged for a file or a pipe.

    What goes on in the next line is indented as the line that it belongs to.
    """
    width = width_of(make_console(stderr=stderr)) if (sys.stderr if stderr else sys.stdout).isatty() else None
    return text if width is None else "\n".join(map(partial(_wrap_line, width), text.split("\n")))


def _wrap_line(width: int, line: str) -> str:
    if cell_len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return "\n".join(indent + piece for piece in wrap(line.strip(), max(1, width - len(indent))))


def cell(text: str, style: str = "") -> Text:
    """Return a text for a table or a list, with control characters escaped."""
    # Text is never parsed as rich's markup, so «[red]» in a name stays as it is.
    return Text(printable(text), style=style)


def print_table(columns: Sequence[Column | str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under the headings of their columns to stdout. What has no room is named on stderr."""
    console = make_console()
    cells = [[value if isinstance(value, Text) else cell(value) for value in row] for row in rows]
    as_columns = [column if isinstance(column, Column) else Column(column) for column in columns]
    laid = lay_out(as_columns, cells, width_of(console))
    for heading in laid.lines[: laid.heading_lines]:
        heading.stylize("bold")
    _echo(console, laid.lines)
    if laid.left_out:
        remark(f"A wider terminal also shows {', '.join(laid.left_out)}.")


def print_facts(rows: Iterable[tuple[str, str | Text]], console: Console | None = None) -> None:
    """Print names and their values, one per line. Rows without a value are left out."""
    console = console or make_console()
    shown = [(name, value if isinstance(value, Text) else cell(value)) for name, value in rows if value]
    indent = max(len(name) for name, _ in shown) + 2
    width = width_of(console)
    lines = []
    for name, value in shown:
        texts = value.plain.split("\n") if width is None else wrap(value.plain, max(1, width - indent))
        for number, text in enumerate(texts):
            lines.append(Text.assemble((f"{'' if number else name:<{indent}}", "bold"), (text, value.style)))
    _echo(console, lines)


def print_paragraph(heading: str, text: str) -> None:
    """Print a text below its heading to stdout, for a terminal."""
    console = make_console()
    lines = wrap(text, (width_of(console) or WIDTH_WITHOUT_TERMINAL) - 2)
    _echo(console, [Text(heading, "bold"), *(Text(f"  {line}") for line in lines)])


def _echo(console: Console, lines: Iterable[Text]) -> None:
    # Click, and not rich, prints them: rich ends the program if the reader of a pipe has gone.
    for line in lines:
        with console.capture() as captured:
            console.print(line, soft_wrap=True)
        click.echo(captured.get().removesuffix("\n"), err=console.stderr)


@contextmanager
def count_bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr while things are done, if stderr is a terminal. The function adds to the count."""
    console = make_console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(printable(name), total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def transfer_bar(name: str) -> Iterator[OnProgress]:
    """Show a progress bar on stderr while a file is transferred, if stderr is a terminal."""
    console = make_console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(printable(name), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
