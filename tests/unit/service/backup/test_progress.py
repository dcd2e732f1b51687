"""What people see on stderr while files are copied."""

import io
import sys

import pytest

from fitqueue.text import strip_ansi
from service.backup import progress
from service.backup.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_lines_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    with Progress("Copying").copying(2, 3000) as on_bytes:
        on_bytes(1000)
        on_bytes(2000)
    assert capsys.readouterr() == (
        "",
        "Copying 2 files, 3.0 kB …\nCopying 2 files: 1.0 kB of 3.0 kB.\nCopying 2 files: 3.0 kB of 3.0 kB.\n",
    )


def test_a_pipe_gets_no_line_for_each_chunk(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Copying").copying(1, 3000) as on_bytes:
        for _ in range(1000):
            on_bytes(3)
    assert capsys.readouterr().err == "Copying 1 file, 3.0 kB …\n"


def test_a_terminal_gets_a_bar_in_place_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("Restoring").copying(2, 3000) as on_bytes:
        on_bytes(3000)
    assert "Restoring 2 files" in strip_ansi(terminal.getvalue())
    assert "…" not in terminal.getvalue()


def test_nothing_is_shown_where_nothing_is_copied(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Copying").copying(0, 0) as on_bytes:
        on_bytes(0)
    assert capsys.readouterr() == ("", "")
