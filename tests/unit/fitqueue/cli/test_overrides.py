"""`--set PATH=VALUE` and `--name`: changes to a job before it is submitted."""

import json
from typing import Any

import click
import pytest

from fitqueue.cli.overrides import apply_overrides
from fitqueue.errors import MalformedJSON

JOB = {"fit": {"epochs": 1}, "callbacks": [{"config": {"patience": 2}}], "compile": "x"}


def overridden(*assignments: str, name: str | None = None) -> Any:
    return json.loads(apply_overrides(json.dumps(JOB).encode(), {"name": name}, assignments))


def test_without_overrides_the_bytes_are_unchanged() -> None:
    assert apply_overrides(b"{broken", {"name": None}, []) == b"{broken"


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("fit.epochs=3", {"fit": {"epochs": 3}}),
        ("fit.batch_size=64", {"fit": {"epochs": 1, "batch_size": 64}}),
        ("callbacks.0.config.patience=5", {"callbacks": [{"config": {"patience": 5}}]}),
        ("callbacks.0=null", {"callbacks": [None]}),
        ("compile=adam", {"compile": "adam"}),
        ("name=a=b", {"name": "a=b"}),
        ("labels.team=vision", {"labels": {"team": "vision"}}),
        ('data={"dataset": "digits"}', {"data": {"dataset": "digits"}}),
        ("seed=", {"seed": ""}),
    ],
)
def test_one_override(assignment: str, expected: dict[str, Any]) -> None:
    assert overridden(assignment) == {**JOB, **expected}


def test_a_name_stays_a_string_even_if_it_looks_like_a_number() -> None:
    assert overridden(name="7")["name"] == "7"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("fit.epochs", "expected PATH=VALUE"),
        ("=3", "expected PATH=VALUE"),
        ("callbacks.1=3", "expected an index from 0 to 0"),
        ("callbacks.x.config=3", "received 'x'; expected an index"),
        ("compile.optimizer=adam", "'optimizer' cannot be set in \"x\""),
        ("compile.optimizer.lr=1", "'optimizer' cannot be set in \"x\""),
    ],
)
def test_an_assignment_that_cannot_be_applied(assignment: str, message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        overridden(assignment)


def test_a_body_that_is_not_json() -> None:
    with pytest.raises(MalformedJSON):
        apply_overrides(b"{broken", {"name": "name"}, [])
