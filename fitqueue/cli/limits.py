"""How limits and retention are given to commands, and shown by them."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import click

from fitqueue.cli.text import duration, number, size
from fitqueue.limits import Holdings, Limits, UserLimits
from fitqueue.retention import Retention
from fitqueue.spec.nearest import nearest

_NONE: Final = "none"

limit_option = click.option(
    "--limit", "limits", multiple=True, metavar="NAME=N", help="Set a limit, or remove it with `none`. Repeatable."
)


def limits_of(texts: Iterable[str], kind: type[Limits]) -> dict[str, int | None] | None:
    """Return the limits that were given as NAME=N; None if there are none.

    Raises:
        click.UsageError: one of them is not a limit of this kind.
    """
    return dict(_parsed(text, kind.model_fields, "--limit") for text in texts) or None


def retention_of(texts: Iterable[str]) -> dict[str, Any] | None:
    """Return the retention that was given as NAME=VALUE; None if nothing of it was.

    Raises:
        click.UsageError: one of them is not a part of a retention.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name == "keep_checkpoints" and equals:
            values[name] = value
        else:
            values |= dict([_parsed(text, Retention.model_fields, "--retention")])
    return values or None


def limit_facts(limits: Limits, usage: Holdings) -> Iterator[tuple[str, str]]:
    """Yield what a user or a project has, and may have at the most, as facts with their names."""
    yield "Running jobs", _of(str(usage.running_jobs), limits.running_jobs)
    yield "GPUs", _of(str(usage.gpus), limits.gpus)
    yield "Queued jobs", _of(str(usage.queued_jobs), limits.queued_jobs)
    yield "Stored", _of(size(usage.stored_bytes), size(limits.stored_bytes) or None)
    yield "Runtime", f"{duration(limits.runtime_seconds)} at most" if limits.runtime_seconds is not None else ""
    if isinstance(limits, UserLimits) and limits.requests_per_minute is not None:
        yield "Requests", f"{number(limits.requests_per_minute)} a minute at most"


def _of(used: str, allowed: object | None) -> str:
    return used if allowed is None else f"{used} of at most {allowed}"


def _parsed(text: str, known: Iterable[str], option: str) -> tuple[str, int | None]:
    name, equals, value = text.partition("=")
    names = list(known)
    if not equals or name not in names:
        similar = nearest(name, names)
        expected = f"Did you mean '{similar}'?" if similar else f"Names are {', '.join(names)}."
        raise click.UsageError(f"{option}: '{text}' is not understood; expected NAME=N. {expected}")
    if value == _NONE:
        return name, None
    if not value.isascii() or not value.isdigit():
        raise click.UsageError(f"{option}: '{value}' is not a number, nor `none`, for {name}.")
    return name, int(value)
