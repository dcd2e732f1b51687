"""Each screen in terminals of 60, 80 and 100 columns: no word is broken, no figure is cut, no line is too long."""

import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

from fitqueue import cli
from fitqueue.client import Client
from fitqueue.states import Phase, Reason
from fitqueue.text import strip_ansi

WIDTHS = (60, 80, 100)
METRICS = {"sparse_categorical_accuracy": 0.98765, "val_sparse_categorical_accuracy": 0.91234}


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def in_terminal(run: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, str]]:
    """A function that runs a command in a terminal of some width, and returns what it shows on stdout and stderr."""

    def command(width: int, *arguments: str) -> tuple[str, str]:
        shown, remarks = Screen(), Screen()
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(width))
            patch.setenv("TERM", "xterm-256color")
            patch.setattr(sys, "stdout", shown)
            patch.setattr(sys, "stderr", remarks)
            assert cli.main(arguments) == 0
        return strip_ansi(shown.getvalue()), strip_ansi(remarks.getvalue())

    return command


@pytest.fixture
def jobs(service: Any, client: Client, job: dict[str, Any], run: Any, tmp_path: Any) -> Sequence[str]:
    """The ids of a job that has ended, one that is running, one that failed and one that waits, with what they left."""
    names = ("mnist convolutional baseline", "digits-augmented-v2", "fails", "waits for its turn")
    labels = {"purpose": "comparison of augmentations"}
    ids = [client.submit({**job, "name": name, "fit": {"epochs": 12}, "labels": labels}).id for name in names]
    ended = service.claim()
    for epoch in range(1, 8):
        ended.epoch(epoch, 1.23456 / epoch, **METRICS)
    ended.checkpoint(["best", "last", "epoch-07-of-12.weights.h5"], 7, b"weights" * 1000, 1.23456)
    ended.artifact("history of the training.csv", b"a,b" * 500)
    ended.finish(Reason.EARLY_STOPPED, "EarlyStopping ended the training: val_loss has not improved for 3 epochs.")
    running = service.claim()
    running.phase(Phase.TRAINING)
    running.epoch(1, 0.5, seconds=4000)  # so long that the time left reads the same a little later
    running.checkpoint(["best", "last"], 1, b"weights", 1.0)
    running.progress(2, 4, loss=0.4)
    service.claim().finish(Reason.OUT_OF_MEMORY, "The device did not have enough memory.")
    np.savez(tmp_path / "letters.npz", x_train=np.zeros((5, 28, 28), "uint8"), y_train=np.arange(5))
    assert run("dataset", "add", "letters.npz", "--name", "handwritten-letters")[0] == 0
    return ids


SCREENS: dict[str, Sequence[str]] = {
    "jobs": ["jobs"],
    "queue": ["queue"],
    "workers": ["workers"],
    "metrics": ["metrics", "ENDED"],
    "checkpoints": ["checkpoints", "ENDED"],
    "artifacts": ["artifacts", "ENDED"],
    "events": ["events", "ENDED"],
    "show": ["show", "ENDED"],
    "show of a job that runs": ["show", "RUNNING"],
    "compare": ["compare", "ENDED", "RUNNING"],
    "usage": ["usage", "ENDED"],
    "watch": ["watch", "ENDED"],
    "data sets": ["dataset", "list"],
    "data set": ["dataset", "show", "handwritten-letters"],
    "catalogue": ["catalogue"],
    "class": ["catalogue", "LSTM"],
}


def _command(name: str, jobs: Sequence[str]) -> list[str]:
    return [{"ENDED": jobs[0], "RUNNING": jobs[1]}.get(word, word) for word in SCREENS[name]]


def _lines(text: str) -> Iterator[str]:
    """Yield the lines without ages, which go on. What `watch` shows below them, and removes, is another test's."""
    for line in re.split(r"[\r\n]+", re.sub(r"(?<![.\d])\d+ s$", "", text, flags=re.MULTILINE)):
        if line.strip() and not re.search("[⠀-⣿━]", line):
            yield line.rstrip()


def _is_whole(word: str, words: set[str]) -> bool:
    return word in words or (word.startswith("job_") and any(other.startswith(word) for other in words))


@pytest.mark.parametrize("name", SCREENS)
def test_words_are_whole_and_figures_are_not_cut(name: str, jobs: Sequence[str], run: Any, in_terminal: Any) -> None:
    command = _command(name, jobs)
    code, wide, _ = run(*command)
    assert code == 0
    for width in WIDTHS:
        _check(width, wide, *in_terminal(width, *command))


def _check(width: int, wide: str, shown: str, remarks: str) -> None:
    lines = list(_lines(shown))
    words = [word for line in lines for word in line.split()]
    known = set(wide.split())
    # Curves have the width of the terminal.
    text = [word for word in words if "│" not in word and set(word) - set("AB")]
    assert [word for word in text if not _is_whole(word, known)] == []
    too_long = [line for line in [*lines, *remarks.splitlines()] if cell_len(line) > width]
    # A checksum cannot be wrapped, and is copied: the terminal breaks it.
    assert [line for line in too_long if max(map(len, line.split())) < 40] == []
    if words[0] != "layers":  # the terminal shows the catalogue as paragraphs
        assert words[0] == wide.split()[0]
    assert len(lines) >= len(list(_lines(wide)))


def test_columns_go_before_figures_do(jobs: Sequence[str], in_terminal: Any, run: Any) -> None:
    shown, remarks = in_terminal(60, "metrics", jobs[0])
    heading, row = (line.split() for line in shown.splitlines()[:2])
    assert heading[:3] == ["EPOCH", "loss", "val_loss"]
    assert row[:3] == ["1", "1.235", "2.469"]
    assert "A wider terminal also shows val_sparse_categorical_accuracy, " in " ".join(remarks.split())
    wide = run("metrics", jobs[0])[1].splitlines()[0].split()
    assert wide[-3:] == ["RATE", "TIME", "STEPS/S"]


def test_piped_output_has_no_width_of_its_own(
    jobs: Sequence[str], run: Any, client: Client, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.submit({**job, "name": "n" * 100, "labels": {f"label-{n:03}": "v" * 60 for n in range(20)}})
    monkeypatch.setenv("COLUMNS", "40")
    assert "n" * 100 in run("jobs")[1]
    newest = next(client.list()).id
    [labels] = [line for line in run("show", newest)[1].splitlines() if line.startswith("Labels")]
    assert len(labels) > 1300
