"""How numbers, sizes and times are written in pages, as filters of the templates."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Blueprint
from markupsafe import Markup

from fitqueue.cli.text import number, size
from fitqueue.text import about, duration
from fitqueue.views import EpochView


def register(blueprint: Blueprint) -> None:
    for function in (number, size, about, duration, moment):
        blueprint.add_app_template_filter(function, function.__name__)
    blueprint.add_app_template_filter(from_now, "from_now")
    blueprint.add_app_template_filter(seconds_until, "seconds_until")
    blueprint.add_app_template_filter(metric, "metric")
    blueprint.add_app_template_filter(shape, "shape")


def moment(at: datetime | None, style: str = "short") -> Markup:
    """Return a `<time>` in UTC. A script shows it in the zone of the reader."""
    if at is None:
        return Markup()
    shown = at.strftime("%H:%M:%S UTC" if style == "clock" else "%Y-%m-%d %H:%M UTC")
    return Markup('<time datetime="{}" data-style="{}">{}</time>').format(at.isoformat(), style, shown)


def from_now(text: str, seconds: float) -> Markup:
    """Return words about a moment some seconds from now as a `<time>`, of which a script shows the moment on hover.

    It is rounded to ten seconds: else each rendering would be another one.
    """
    at = datetime.fromtimestamp(10 * round((time.time() + seconds) / 10), UTC)
    return Markup('<time datetime="{}" data-style="words">{}</time>').format(at.isoformat(), text)


def seconds_until(at: datetime | None) -> float | None:
    """Return how many seconds there are until a moment; 0 if it is over, None if there is none."""
    return None if at is None else max(0.0, (at - datetime.now(UTC)).total_seconds())


def metric(epoch: EpochView, name: str) -> str:
    """Return a metric of an epoch; a word where it was not finite, and nothing if it was not logged."""
    if name in epoch.non_finite_values:
        return str(epoch.non_finite_values[name])
    return number(epoch.metrics[name]) if name in epoch.metrics else ""


def shape(axes: Sequence[int | None]) -> str:
    """Return the shape of an array: `1,797 × 8 × 8`. An axis whose length varies is a dash."""
    return " × ".join("–" if axis is None else f"{axis:,}" for axis in axes)
