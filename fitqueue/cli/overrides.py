"""`--set PATH=VALUE`: changes in a job before it is sent, such as `fit.epochs=3` or `callbacks.0.config.patience=5`."""

import json
from collections.abc import Iterable
from typing import Any

import click

from fitqueue.errors import MalformedJSON
from fitqueue.spec.strict_json import parse_json


def with_changes(body: bytes, name: str | None, assignments: Iterable[str]) -> bytes:
    """The job with a name and with each `path=value` set. Untouched bytes where nothing changes.

    Raises MalformedJSON for a body that is no JSON, click.BadParameter for an assignment that cannot be made.
    """
    changes = [_split(assignment) for assignment in assignments]
    if name is not None:
        changes.append((["name"], name))
    if not changes:
        return body
    job = parse_json(body)
    for path, value in changes:
        _set(job, path, value)
    return json.dumps(job, allow_nan=False).encode()


def _split(assignment: str) -> tuple[list[str], Any]:
    path, equals, value = assignment.partition("=")
    if not (path and equals):
        raise click.BadParameter(f"'{assignment}' is no change; expected PATH=VALUE, such as fit.epochs=3")
    return path.split("."), _value(value)


def _value(text: str) -> Any:
    try:
        return parse_json(text.encode())
    except MalformedJSON:
        return text  # `compile.optimizer=adam` should not need quotes inside quotes


def _set(job: Any, path: list[str], value: Any) -> None:
    place = job
    for key in path[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else _item(place, key, path)
    if isinstance(place, dict):
        place[path[-1]] = value
    else:
        _item(place, path[-1], path)
        place[int(path[-1])] = value


def _item(place: Any, key: str, path: list[str]) -> Any:
    whole = ".".join(path)
    if not isinstance(place, list):
        raise click.BadParameter(
            f"{whole}: '{key}' cannot be set in {json.dumps(place)[:50]}; expected an object there"
        )
    if not (key.isdecimal() and int(key) < len(place)):
        raise click.BadParameter(f"{whole}: received '{key}'; expected an index from 0 to {len(place) - 1}")
    return place[int(key)]
