import json
from typing import Any

import click
import pytest

from fitqueue.cli.overrides import with_changes
from fitqueue.errors import MalformedJSON

JOB = {"fit": {"epochs": 1}, "callbacks": [{"config": {"patience": 2}}], "compile": "x"}


def changed(*assignments: str, name: str | None = None) -> Any:
    return json.loads(with_changes(json.dumps(JOB).encode(), name, assignments))


def test_without_changes_the_bytes_are_not_touched() -> None:
    assert with_changes(b"{broken", None, []) == b"{broken"


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
def test_one_change(assignment: str, expected: dict[str, Any]) -> None:
    assert changed(assignment) == {**JOB, **expected}


def test_a_name_is_text_whatever_it_looks_like() -> None:
    assert changed(name="7")["name"] == "7"


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("fit.epochs", "expected PATH=VALUE"),
        ("=3", "expected PATH=VALUE"),
        ("callbacks.1=3", "expected an index from 0 to 0"),
        ("callbacks.x.config=3", "received 'x'; expected an index"),
        ("compile.optimizer=adam", "'optimizer' cannot be set in \"x\""),
        ("compile.optimizer.lr=1", "'optimizer' cannot be set in \"x\""),
    ],
)
def test_a_change_that_cannot_be_made(assignment: str, words: str) -> None:
    with pytest.raises(click.BadParameter, match=words):
        changed(assignment)


def test_a_body_that_is_no_json() -> None:
    with pytest.raises(MalformedJSON):
        with_changes(b"{broken", "name", [])
