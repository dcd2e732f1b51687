"""Tables and paragraphs that fit a width: words wrap whole, figures are never cut, and columns go before figures do.

Pure functions. A width of None is that of a file or a pipe, which has none: nothing is wrapped, nothing is left out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from fitqueue.text import one_line

GAP: Final = 2
"""The columns between two cells."""
_READABLE: Final = 12
"""A cell of prose is at least so wide, unless all of its texts are shorter."""
_WORD_SHARE: Final = 2
"""A single word, such as a name of a hundred characters, takes at most one part in so many of the whole width."""

_GLUE: Final = "\N{NO-BREAK SPACE}"
_GLUED: Final = re.compile(
    r"\d (?:%|[kMGT]?B\b|s\b|min\b|h\b|d\b)"  # a figure and its unit
    r"|\((?:any|\d+|, )+\)"  # a shape
    r"|\bfitqueue [a-z]+(?: job_\w+)?"  # a command, which is copied
)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        wraps: whether it holds words, which may go on in the next line; figures, ids and times stay on one line.
        rank: if the columns do not fit, the one with the highest rank is left out first. The first column always stays.
            By default, a column has the rank of its position.
        narrow: whether its words stand below each other before the column is left out, such as a metric and its value.
    """

    heading: str
    wraps: bool = False
    rank: int | None = None
    narrow: bool = False


@dataclass(frozen=True)
class Laid:
    """A table as lines.

    Attributes:
        lines: the headings, then the rows.
        heading_lines: how many of the lines are headings.
        left_out: the headings of the columns for which there was no room.
    """

    lines: Sequence[Text]
    heading_lines: int
    left_out: Sequence[str]


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int | None) -> Laid:
    """Return the table in lines of at most this width. Columns without any value are left out without a word."""
    shown = [i for i in range(len(columns)) if i == 0 or not rows or any(row[i].plain for row in rows)]
    needs = {i: _need(columns[i], [row[i].plain for row in rows], width) for i in shown}
    kept = list(shown)
    while width is not None and len(kept) > 1 and _total([needs[i].least for i in kept]) > width:
        last = max(kept[1:], key=lambda i: (_rank(columns, i), i))
        if needs[last].narrowest < needs[last].least:
            needs[last] = replace(needs[last], least=needs[last].narrowest)
        else:
            kept.remove(last)
    widths = _widths([needs[i] for i in kept], width)
    headings = [Text(columns[i].heading) for i in kept]
    heading = _lines(headings, widths, width)
    body = [line for row in rows for line in _lines([row[i] for i in kept], widths, width)]
    left_out = [columns[i].heading for i in shown if i not in kept]
    return Laid([*heading, *body], len(heading), left_out)


def if_several(names: Sequence[str | None]) -> list[str]:
    """Return names as the cells of a column: all of them empty, and so without a column, if there is only one name."""
    several = len({*names} - {None}) > 1
    return [name or "" if several else "" for name in names]


def wrap(text: str, width: int, *, breaks: bool = False) -> list[str]:
    """Return the text in lines, which keep whole words.

    Args:
        text: one paragraph, or several lines.
        width: how long a line may be.
        breaks: whether a word that is longer than a whole line is broken. Otherwise, its line is longer.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += _wrap_paragraph(paragraph, width, breaks)
    return lines


def _wrap_paragraph(text: str, width: int, breaks: bool) -> Iterator[str]:
    line = ""
    for word in _words(text):
        longer = f"{line} {word}" if line else word
        if cell_len(longer) <= width:
            line = longer
            continue
        if line:
            yield line
        *whole, line = _broken(word, width) if breaks else [word]
        yield from whole
    yield line


def _words(text: str) -> list[str]:
    """Return the words. A figure with its unit, a shape, and the name of a command are one."""
    glued = _GLUED.sub(lambda match: match[0].replace(" ", _GLUE), text)
    return [word.replace(_GLUE, " ") for word in glued.split(" ") if word]


def _broken(word: str, width: int) -> list[str]:
    pieces = []
    while cell_len(word) > width:
        piece = set_cell_size(word, width).rstrip() or word[:1]
        piece = piece if word.startswith(piece) else word[:1]
        pieces.append(piece)
        word = word[len(piece) :]
    return [*pieces, word]


@dataclass(frozen=True)
class _Need:
    """How wide a column should be at least, must be before it is left out, and would be without any limit."""

    least: int
    narrowest: int
    most: int


def _need(column: Column, texts: Sequence[str], width: int | None) -> _Need:
    most = max(map(cell_len, [column.heading, *map(one_line, texts)]))
    heading = max(map(cell_len, column.heading.split()), default=0)
    if not column.wraps or width is None:
        least = max([heading, *(cell_len(one_line(text)) for text in texts)])
        return _Need(least, least, most)
    word = max((cell_len(word) for text in texts for word in _words(one_line(text))), default=0)
    narrowest = max(heading, min(word, width // _WORD_SHARE))
    least = max(narrowest, min(most, _READABLE * 2 if column.narrow else _READABLE))
    return _Need(least, narrowest if column.narrow else least, most)


def _rank(columns: Sequence[Column], index: int) -> int:
    rank = columns[index].rank
    return index if rank is None else rank


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _widths(needs: Sequence[_Need], width: int | None) -> list[int]:
    """Return the width of each column: the room that is left goes to those that lack most of theirs."""
    if width is None:
        return [need.most for need in needs]
    widths = [need.least for need in needs]
    for _ in range(width - _total(widths)):
        index = max(range(len(needs)), key=lambda i: needs[i].most / max(1, widths[i]))
        if widths[index] >= needs[index].most:
            break
        widths[index] += 1
    return widths


def _lines(cells: Sequence[Text], widths: Sequence[int], width: int | None) -> list[Text]:
    columns = []
    for cell, cell_width in zip(cells, widths, strict=True):
        text = one_line(cell.plain)
        columns.append([text] if width is None else wrap(text, cell_width, breaks=True))
    lines = []
    for number in range(max(map(len, columns))):
        line = Text()
        for column, cell, cell_width in zip(columns, cells, widths, strict=True):
            text = column[number] if number < len(column) else ""
            line.append(text, cell.style)
            line.append(" " * (max(0, cell_width - cell_len(text)) + GAP))
        line.rstrip()
        lines.append(line)
    return lines
