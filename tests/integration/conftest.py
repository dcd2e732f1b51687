"""Jobs for tests of the store and of the API, the database's clock, and what is logged."""

import copy
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from fitqueue.datasets import BUILTIN
from fitqueue.spec import JobSpec, parse_job
from service import clock
from service.db import Database
from service.logs import JSONFormatter
from service.store import jobs
from tests.integration.fixture_types import AdvanceClock, MakeSpec, Submit

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
    """A small, complete job as a user writes it."""
    return copy.deepcopy(_SPEC)


@pytest.fixture
def make_spec() -> MakeSpec:
    """A function that returns a valid job. Its keyword arguments replace top-level fields."""

    def make(**fields: Any) -> JobSpec:
        return parse_job(
            {**copy.deepcopy(_SPEC), **fields},
            lambda name: BUILTIN[name].info if name in BUILTIN else None,
        ).spec

    return make


@pytest.fixture
def submit(database: Database, make_spec: MakeSpec) -> Submit:
    """A function that stores a job and returns its id. Its keyword arguments replace top-level fields of the job."""

    def submit(**fields: Any) -> str:
        with database.write() as session:
            return jobs.create(session, make_spec(**fields), []).id

    return submit


@pytest.fixture
def advance_clock(monkeypatch: pytest.MonkeyPatch) -> AdvanceClock:
    """A function that advances the database's clock by some seconds."""
    real, shift = clock.now, [0.0]

    def now(session: Session) -> datetime:
        return real(session) + timedelta(seconds=shift[0])

    monkeypatch.setattr(clock, "now", now)

    def advance(seconds: float) -> None:
        shift[0] += seconds

    return advance


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """The lines that the service and the workers log in this process during the test, as they stand in their logs."""
    lines: list[str] = []

    class CollectLines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JSONFormatter().format(record))

    handler = CollectLines()
    loggers = [logging.getLogger(name) for name in ("service", "workers")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield lines
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
