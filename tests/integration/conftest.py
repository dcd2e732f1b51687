"""Jobs for tests of the store and of the API."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.datasets import BUILTIN
from fitqueue.spec import JobSpec, parse_job
from service.db import Database
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
