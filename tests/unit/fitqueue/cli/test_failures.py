"""How errors are printed, and the exit codes that go with them."""

import click
import pytest

from fitqueue.cli.failures import NO_SERVICE, REFUSED, describe, report
from fitqueue.errors import DatabaseUnavailable, Fault, InvalidSpec, JobNotFound, NotConfigured, Unreachable


def test_each_fault_is_printed_with_what_was_received_and_expected() -> None:
    faults = [
        Fault(pointer="/fit/epochs", code="x", message="Too small.", received=0, expected="1 or more"),
        Fault(pointer="", code="x", message="Not an object."),
        Fault(pointer="/name", code="x", message="Bad\x1b name.", received="é" * 300, expected="ASCII"),
    ]
    first, *lines = describe(InvalidSpec(errors=faults)).splitlines()
    assert first == "Error: The job is invalid; `errors` lists every fault."
    assert lines[:3] == ["  /fit/epochs: Too small.", "      received 0; expected 1 or more", "  /: Not an object."]
    assert lines[3] == "  /name: Bad\\x1b name."
    assert len(lines[4]) < 150


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobNotFound(), REFUSED),
        (InvalidSpec(), REFUSED),
        (click.ClickException("no"), REFUSED),
        (PermissionError("no"), REFUSED),
        (Unreachable(), NO_SERVICE),
        (NotConfigured(), NO_SERVICE),
        (DatabaseUnavailable(), NO_SERVICE),
    ],
)
def test_the_exit_code_of_each_error(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(error) == code
    assert capsys.readouterr().err.startswith("Error: ")
