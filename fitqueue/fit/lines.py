"""The lines of a training on a terminal, in the form of Keras's own bar. Pure functions."""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from fitqueue.pictures.jobs import metrics_text
from fitqueue.text import duration
from fitqueue.views import EpochView, Progress

_MAX_CELLS: Final = 20
_SEPARATOR: Final = " - "
_INDENT: Final = "    "


def epoch_line(epoch: EpochView, progress: Progress, width: int | None, *, has_bar: bool, is_ascii: bool) -> Text:
    """Return an epoch that has ended.

    Args:
        epoch: the epoch.
        progress: of its job.
        width: the columns of the terminal; None for one line of any length.
        has_bar: whether it looks like the bar that it was.
        is_ascii: whether the terminal has no other characters.
    """
    head = f"Epoch {epoch.epoch}/{progress.epochs}"
    steps = f"{progress.steps}/{progress.steps}" if progress.steps else ""
    times = f"{duration(epoch.seconds).replace(' ', '')} {rate_text(epoch.steps_per_second)}".strip()
    metrics = metrics_text(epoch.metrics)
    if not has_bar:
        return laid_out(Text(head), [*filter(None, [steps, times]), *metrics], width)
    return _bar_line(f"{head} {steps}".strip(), 1.0, times, metrics, width, is_ascii=is_ascii)


def running_line(progress: Progress, eta_seconds: float | None, width: int, *, is_ascii: bool) -> Text:
    """Return the running epoch, with the metrics that it has so far and the time until the training ends."""
    steps = progress.steps or 0
    head = f"Epoch {progress.epoch}/{progress.epochs} {progress.step:>{len(str(steps))}}/{steps}"
    eta = f"ETA {duration(eta_seconds).replace(' ', '')}" if eta_seconds is not None else ""
    share = progress.step / steps if steps else 0.0
    return _bar_line(head, share, eta, metrics_text(progress.metrics), width, is_ascii=is_ascii)


def laid_out(head: Text, parts: Sequence[str], width: int | None) -> Text:
    """Return the parts behind the head, separated as in Keras's bar; a line that is full ends before a part."""
    text, column = head.copy(), head.cell_len
    for part in parts:
        if width is not None and column + cell_len(_SEPARATOR + part) > width:
            shown = _fitting(part, width - len(_INDENT))
            text.append(f"\n{_INDENT}{shown}")
            column = len(_INDENT) + cell_len(shown)
        else:
            text.append(f"{_SEPARATOR}{part}")
            column += cell_len(_SEPARATOR + part)
    return text


def rate_text(steps_per_second: float) -> str:
    """Return the time for a step as Keras writes it; empty if it is not known."""
    if steps_per_second <= 0:
        return ""
    seconds = 1 / steps_per_second
    if seconds >= 1:
        return f"{seconds:.0f}s/step"
    return f"{seconds * 1e3:.0f}ms/step" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/step"


def _bar_line(head: str, share: float, end: str, parts: Sequence[str], width: int | None, *, is_ascii: bool) -> Text:
    """Return head, bar and parts; the end stands behind the bar, or if it has no room there, before the parts."""
    room = _MAX_CELLS if width is None else width - len(head) - len(end) - 2
    if room < 0:
        return laid_out(Text(head), [end, *parts], width)
    cells = min(_MAX_CELLS, room)
    full = int(cells * share)
    filled, empty = ("=", ".") if is_ascii else ("━", "━")
    text = Text.assemble(f"{head} ", (filled * full, "green"), (empty * (cells - full), "bright_black"), f" {end}")
    text.rstrip()
    return laid_out(text, parts, width)


def _fitting(part: str, width: int) -> str:
    """Return a part that fits on a line: of a name that is too long, the end is left out, and not the value."""
    if cell_len(part) <= width:
        return part
    name, colon, value = part.rpartition(": ")
    return set_cell_size(name, max(1, width - cell_len(colon + value) - 1)).rstrip() + "…" + colon + value
