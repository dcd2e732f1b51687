"""Jobs for tests of the store and of the API."""

import copy
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from fitqueue.datasets import BUILTIN
from fitqueue.spec import JobSpec, parse_job
from service import clock
from service.db import Database
from service.logs import JSONFormatter
from service.store import jobs

_SPEC: dict[str, Any] = {
    "model": {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "Input", "config": {"shape": [8, 8]}},
                {"class_name": "Flatten"},
                {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
            ]
        },
    },
    "compile": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    "data": {"dataset": "digits", "x": "x_train", "y": "y_train"},
    "fit": {"epochs": 5},
}


@pytest.fixture
def raw_spec() -> dict[str, Any]:
    """A whole, small job as a user writes it."""
    return copy.deepcopy(_SPEC)


@pytest.fixture
def make_spec() -> Callable[..., JobSpec]:
    """A checked job; the keyword arguments replace its top-level fields."""

    def make(**fields: Any) -> JobSpec:
        return parse_job(
            {**copy.deepcopy(_SPEC), **fields},
            lambda name: BUILTIN[name].info if name in BUILTIN else None,
        ).spec

    return make


@pytest.fixture
def submit(database: Database, make_spec: Callable[..., JobSpec]) -> Callable[..., str]:
    """Stores a job; its id."""

    def submit(**fields: Any) -> str:
        with database.write() as session:
            return jobs.create(session, make_spec(**fields), []).id

    return submit


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the database's clock on by some seconds."""
    real, shift = clock.now, [0.0]

    def now(session: object) -> datetime:
        return real(session) + timedelta(seconds=shift[0])  # type: ignore[arg-type]

    monkeypatch.setattr(clock, "now", now)

    def move(seconds: float) -> None:
        shift[0] += seconds

    return move


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What the service and the workers log meanwhile in this process, as it stands in their logs."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JSONFormatter().format(record))

    handler = Collect()
    loggers = [logging.getLogger(name) for name in ("service", "workers")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield lines
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
