"""The parts of which pictures are made. Pure functions."""

import html
from collections.abc import Iterable, Sequence
from typing import Final

from fitqueue.states import JobState
from fitqueue.text import one_line, truncate

STATE_COLOURS: Final = {
    JobState.QUEUED: "#b7791f",
    JobState.RUNNING: "#2f81d8",
    JobState.PAUSED: "#12919a",
    JobState.SUCCEEDED: "#2a9649",
    JobState.FAILED: "#dc4a41",
    JobState.CANCELLED: "#a35bd1",
}
"""All have a contrast of at least 3 to white and to black."""

_MAX_LENGTH: Final = 200


def escaped(text: str, limit: int = _MAX_LENGTH) -> str:
    """Return somebody's text as part of a page: on one line, without control characters, not too long."""
    return html.escape(truncate(one_line(text), limit))


def frame(parts: Iterable[str]) -> str:
    """Return a picture of these parts. Notebooks would set formulas in it, but for these classes."""
    style = "font-family:sans-serif;font-size:13px;line-height:1.5;max-width:860px"
    return f'<div class="fitqueue mathjax_ignore tex2jax_ignore" style="{style}">{"".join(parts)}</div>'


def line(content: str) -> str:
    """Return a line of a picture."""
    return f"<div>{content}</div>"


def faint(content: str) -> str:
    """Return something that is less important."""
    return f'<span style="opacity:.75">{content}</span>'


def state_mark(state: JobState) -> str:
    """Return a state with its colour beside it."""
    return f'<span style="color:{STATE_COLOURS[state]}">&#9679;</span> {state}'


def bar(percent: float, colour: str, width: str = "100%") -> str:
    """Return a bar that is filled to this share."""
    filled = f"{min(max(percent, 0.0), 100.0):.1f}"
    outer = f"width:{width};height:8px;border-radius:4px;overflow:hidden;background:rgba(127,127,127,.3)"
    inner = f"width:{filled}%;height:8px;background:{colour}"
    return f'<div style="{outer};margin:4px 0" title="{filled} %"><div style="{inner}"></div></div>'


def row_of(pictures: Sequence[str]) -> str:
    """Return pictures beside each other, as many as fit."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:6px">{"".join(pictures)}</div>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are HTML."""
    style = "text-align:left;padding:3px 10px 3px 0;white-space:nowrap"
    head = "".join(f'<th style="{style}">{heading}</th>' for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td style={style!r}>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table style="color:inherit;font-size:inherit"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
