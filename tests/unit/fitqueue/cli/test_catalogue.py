"""`fitqueue catalogue`: the Keras objects that a job may use, and why others were left out."""

import json

import pytest

from fitqueue import cli
from fitqueue.cli.failures import REFUSED
from fitqueue.spec.keras_objects import catalogue


def test_shows_the_arguments_of_a_class(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["catalogue", "LSTM"]) == 0
    lines = capsys.readouterr().out.splitlines()
    lines_by_argument = {line.split()[0]: line for line in lines if line}
    assert lines_by_argument.keys() >= catalogue.kind("layers").classes["LSTM"].properties.keys()
    assert "required" in lines_by_argument["units"]
    assert "dimensionality" in lines_by_argument["units"]
    assert "sigmoid" in lines_by_argument["recurrent_activation"]


def test_a_name_of_several_kinds_shows_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["catalogue", "MeanSquaredError", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"losses", "metrics"}


def test_without_a_name_it_lists_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["catalogue"]) == 0
    out = capsys.readouterr().out
    for kind in catalogue.raw_catalogue()["kinds"]:
        assert kind in out
        assert all(name in out for name in catalogue.kind(kind).classes)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Lambda", "Python code"),
        ("LSTMM", "Did you mean 'LSTM'?"),
        ("relu", "activations"),
        ("../x", "'../x' is not in the catalogue."),
    ],
)
def test_an_unknown_name_is_refused_with_a_reason(name: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["catalogue", name]) == REFUSED
    assert reason in capsys.readouterr().err
