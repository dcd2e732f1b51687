"""How numbers, sizes and times are written in pages, as filters of the templates."""

from collections.abc import Sequence
from datetime import datetime

from flask import Blueprint
from markupsafe import Markup

from fitqueue.cli.text import number, size
from fitqueue.text import duration
from fitqueue.views import EpochView


def register(blueprint: Blueprint) -> None:
    for name, function in (("number", number), ("size", size), ("duration", duration), ("moment", moment)):
        blueprint.add_app_template_filter(function, name)
    blueprint.add_app_template_filter(metric, "metric")
    blueprint.add_app_template_filter(shape, "shape")


def moment(at: datetime | None, style: str = "short") -> Markup:
    """Return a `<time>` in UTC. A script shows it in the zone of the reader."""
    if at is None:
        return Markup()
    shown = at.strftime("%H:%M:%S UTC" if style == "clock" else "%Y-%m-%d %H:%M UTC")
    return Markup('<time datetime="{}" data-style="{}">{}</time>').format(at.isoformat(), style, shown)


def metric(epoch: EpochView, name: str) -> str:
    """Return a metric of an epoch; a word where it was not finite, and nothing if it was not logged."""
    if name in epoch.non_finite_values:
        return str(epoch.non_finite_values[name])
    return number(epoch.metrics[name]) if name in epoch.metrics else ""


def shape(axes: Sequence[int | None]) -> str:
    """Return the shape of an array: `1,797 × 8 × 8`. An axis whose length varies is a dash."""
    return " × ".join("–" if axis is None else f"{axis:,}" for axis in axes)
