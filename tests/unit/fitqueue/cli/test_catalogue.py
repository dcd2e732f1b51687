"""`fitqueue catalogue`: what a job may name, and why not the rest."""

import json

import pytest

from fitqueue import cli
from fitqueue.cli.failures import REFUSED
from fitqueue.spec.keras_objects import catalogue


def test_a_class_is_shown_with_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["catalogue", "LSTM"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line for line in lines if line}
    assert shown.keys() >= catalogue.kind("layers").classes["LSTM"].properties.keys()
    assert "required" in shown["units"]
    assert "dimensionality" in shown["units"]
    assert "sigmoid" in shown["recurrent_activation"]


def test_a_name_of_several_kinds_shows_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["catalogue", "MeanSquaredError", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"losses", "metrics"}


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["catalogue"]) == 0
    shown = capsys.readouterr().out
    for kind in catalogue.raw_catalogue()["kinds"]:
        assert kind in shown
        assert all(name in shown for name in catalogue.kind(kind).classes)


@pytest.mark.parametrize(
    ("name", "says"),
    [("Lambda", "Python code"), ("LSTMM", "Did you mean 'LSTM'?"), ("relu", "activations"), ("../x", "no '../x'")],
)
def test_what_is_not_in_it(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["catalogue", name]) == REFUSED
    assert says in capsys.readouterr().err
