"""A chart as SVG. The text around it gives its colours, except those of the two curves. Pure functions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fitqueue.pictures.curves import Chart, Curve, Point, segments, thinned
from fitqueue.pictures.html import escaped
from fitqueue.text import keras_number

COLOURS: Final = {"train": "#2f81d8", "validation": "#d9661f"}
"""Both have a contrast of at least 3 to white and to black."""

_WIDTH, _HEIGHT = 270, 165
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 262, 44, 142


@dataclass(frozen=True)
class Scale:
    """Where epochs and values are in the chart."""

    first: int
    last: int
    low: float
    high: float

    def x(self, epoch: int) -> float:
        """Return the horizontal place of an epoch; a single one is in the middle."""
        share = (epoch - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return _LEFT + share * (_RIGHT - _LEFT)

    def y(self, value: float) -> float:
        """Return the vertical place of a value. Halves do not overflow where the whole range would."""
        height = self.high / 2 - self.low / 2
        share = (value / 2 - self.low / 2) / height if height > 0 else 0.5
        return _BOTTOM - share * (_BOTTOM - _TOP)


def chart_svg(chart: Chart, best_epoch: int | None = None) -> str:
    """Return a chart; `best_epoch` gets a dashed line."""
    scale = _scale_of(chart.curves)
    parts = [*_frame(chart, scale)]
    if best_epoch is not None and scale.first <= best_epoch <= scale.last:
        x = _text(scale.x(best_epoch))
        line = f'<path d="M{x} {_TOP}V{_BOTTOM}" stroke="currentColor" stroke-opacity=".55" stroke-dasharray="3 3"/>'
        parts.append(f"<g>{line}<title>best epoch: {best_epoch}</title></g>")
    for curve in chart.curves:
        parts += _curve(chart, curve, scale)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escaped(chart_text(chart))}" '
        f'font-family="sans-serif" font-size="11" fill="none">{"".join(parts)}</svg>'
    )


def chart_text(chart: Chart) -> str:
    """Return a chart in words: the last values."""
    values = ", ".join(f"{curve.label} {keras_number(curve.last)}" for curve in chart.curves)
    return f"{chart.name}: {values}"


def _scale_of(curves: Sequence[Curve]) -> Scale:
    epochs = [point.epoch for curve in curves for point in curve.points]
    values = [point.value for curve in curves for point in curve.points if point.is_finite] or [0.0]
    return Scale(min(epochs), max(epochs), min(values), max(values))


def _frame(chart: Chart, scale: Scale) -> Iterator[str]:
    yield _label(6, 14, chart.name, 'font-weight="bold"', limit=40)
    x = 6
    for curve in chart.curves:
        yield f'<path d="M{x} 26h12" stroke="{COLOURS[curve.label]}" stroke-width="3"/>'
        text = f"{curve.label} {keras_number(curve.last)}"
        yield _label(x + 16, 30, text)
        x += 26 + 6 * len(text)
    for share in (0.0, 0.5, 1.0):
        y = _text(_BOTTOM - share * (_BOTTOM - _TOP))
        yield f'<path d="M{_LEFT} {y}H{_RIGHT}" stroke="currentColor" stroke-opacity=".2"/>'
    for value in sorted({scale.low, scale.high}):
        yield _label(_LEFT - 5, scale.y(value) + 4, f"{value:.3g}", 'text-anchor="end"')
    for epoch in sorted({scale.first, scale.last}):
        anchor = "middle" if scale.first == scale.last else "start" if epoch == scale.first else "end"
        yield _label(scale.x(epoch), _BOTTOM + 16, str(epoch), f'text-anchor="{anchor}"')
    if scale.first < scale.last:
        yield _label((_LEFT + _RIGHT) / 2, _BOTTOM + 16, "epoch", 'text-anchor="middle" fill-opacity=".7"')


def _curve(chart: Chart, curve: Curve, scale: Scale) -> Iterator[str]:
    colour = COLOURS[curve.label]
    points = thinned(curve.points)
    for segment in segments(points):
        if len(segment) == 1:
            yield f'<circle cx="{_text(scale.x(segment[0].epoch))}" cy="{_text(scale.y(segment[0].value))}" r="2.5" fill="{colour}"/>'  # noqa: E501
            continue
        places = " ".join(f"{_text(scale.x(point.epoch))},{_text(scale.y(point.value))}" for point in segment)
        yield f'<polyline points="{places}" stroke="{colour}" stroke-width="1.75" stroke-linejoin="round"/>'
    for point in points:
        if not point.is_finite:
            yield _gap(chart, curve, point, scale)


def _gap(chart: Chart, curve: Curve, point: Point, scale: Scale) -> str:
    """Return the mark of an epoch whose value cannot be drawn: a cross on the axis."""
    x = _text(scale.x(point.epoch) - 3)
    cross = f'<path d="M{x} {_BOTTOM - 3}l6 6m0 -6l-6 6" stroke="{COLOURS[curve.label]}" stroke-width="1.75"/>'
    return f"<g>{cross}<title>{escaped(chart.name)}, {curve.label}: not finite in epoch {point.epoch}</title></g>"


def _label(x: float, y: float, text: str, attributes: str = "", limit: int = 20) -> str:
    attributes = attributes and f" {attributes}"
    return f'<text x="{_text(x)}" y="{_text(y)}" fill="currentColor"{attributes}>{escaped(text, limit)}</text>'


def _text(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
