import click
import pytest

from fitqueue.cli.failures import NO_SERVICE, REFUSED, in_words, report
from fitqueue.errors import DatabaseUnavailable, Fault, InvalidSpec, JobNotFound, NotConfigured, Unreachable


def test_every_fault_is_told_with_what_was_received_and_expected() -> None:
    faults = [
        Fault(pointer="/fit/epochs", code="x", message="Too small.", received=0, expected="1 or more"),
        Fault(pointer="", code="x", message="Not an object."),
        Fault(pointer="/name", code="x", message="Bad\x1b name.", received="é" * 300, expected="ASCII"),
    ]
    first, *lines = in_words(InvalidSpec(errors=faults)).splitlines()
    assert first == "Error: The job cannot be trained as it was written; `errors` names each fault."
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
def test_exit_codes(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(error) == code
    assert capsys.readouterr().err.startswith("Error: ")
