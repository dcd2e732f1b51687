"""`--set PATH=VALUE`: changes to a job before it is submitted, such as `callbacks.0.config.patience=5`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from fitqueue.errors import MalformedJSON
from fitqueue.spec.strict_json import parse_json
from fitqueue.text import truncate


def apply_overrides(body: bytes, fields: Mapping[str, str | None], assignments: Iterable[str]) -> bytes:
    """Return the job with each field and each `PATH=VALUE` set; without changes, return the same bytes.

    Args:
        body: the job as JSON.
        fields: values of the job's own fields; None: the field stays as it is.
        assignments: the changes.

    Raises:
        MalformedJSON: the body is not JSON.
        click.BadParameter: an assignment is malformed, or its path does not exist in the job.
    """
    overrides = [_parse(assignment) for assignment in assignments]
    overrides += [([name], value) for name, value in fields.items() if value is not None]
    if not overrides:
        return body
    job = parse_json(body)
    for path, value in overrides:
        _set(job, path, value)
    return json.dumps(job, allow_nan=False).encode()


def _parse(assignment: str) -> tuple[list[str], Any]:
    path, equals, value = assignment.partition("=")
    if not (path and equals):
        raise click.BadParameter(f"'{assignment}' is not an assignment; expected PATH=VALUE, such as fit.epochs=3")
    return path.split("."), _parse_value(value)


def _parse_value(text: str) -> Any:
    try:
        return parse_json(text.encode())
    except MalformedJSON:
        return text  # so that `compile.optimizer=adam` needs no quotes inside quotes


def _set(job: Any, path: list[str], value: Any) -> None:
    container = job
    for key in path[:-1]:
        if isinstance(container, dict):
            container = container.setdefault(key, {})
        else:
            container = container[_index(container, key, path)]
    if isinstance(container, dict):
        container[path[-1]] = value
    else:
        container[_index(container, path[-1], path)] = value


def _index(container: Any, key: str, path: list[str]) -> int:
    """Return the index that `key` is in a list.

    Raises:
        click.BadParameter: the container is not a list, or it has no such index.
    """
    whole_path = ".".join(path)
    if not isinstance(container, list):
        raise click.BadParameter(
            f"{whole_path}: '{key}' cannot be set in {truncate(json.dumps(container), 50)}; expected an object there"
        )
    if not (key.isdecimal() and int(key) < len(container)):
        raise click.BadParameter(f"{whole_path}: received '{key}'; expected an index from 0 to {len(container) - 1}")
    return int(key)
