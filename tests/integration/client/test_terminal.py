"""Commands in a pseudo-terminal: what a person sees."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fitqueue.client import Client
from fitqueue.states import Phase


def _notice_interrupts() -> None:
    """Undo what the tests may have inherited: a shell lets commands in the background ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("fitqueue"), *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=_notice_interrupts,
            start_new_session=True,  # a password is asked in this terminal, and not in that of the tests
        )
        os.close(theirs)
        self.shown = ""

    def until(self, text: str) -> None:
        """Read until the terminal has shown this text."""
        while text not in self.shown:
            assert self._read(), f"{text!r} never appeared in {self.shown!r}"

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._ours, f"{text}\n".encode())

    def finish(self) -> int:
        """Read until the command has ended, and return its exit code."""
        while self._read():
            pass
        return self.process.wait()

    def _read(self) -> bool:
        try:
            output = os.read(self._ours, 65_536)
        except OSError:  # Linux reports in this way that the other side was closed
            return False
        self.shown += output.decode(errors="replace")
        return bool(output)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(service: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Terminal]]:
    monkeypatch.setenv("FITQUEUE_URL", service.url)
    monkeypatch.setenv("FITQUEUE_TOKEN", service.token)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    opened: list[Terminal] = []

    def open_terminal(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_terminal
    for opened_terminal in opened:
        opened_terminal.close()


def test_the_bar_shows_progress_and_disappears_at_the_end(
    terminal: Any, service: Any, client: Client, job: dict[str, Any]
) -> None:
    submitted = client.submit({**job, "name": "tiny [red]"})
    screen = terminal("watch", submitted.id)
    screen.until("in the queue")
    worker = service.claim()
    worker.phase(Phase.LOADING_DATA)
    screen.until("Loading data")
    worker.phase(Phase.TRAINING)
    worker.progress(1, 4)
    screen.until("4/10 steps")
    assert "Epoch 1/3" in screen.shown
    worker.epoch(1, 0.5)
    screen.until("0.5")
    worker.finish()
    assert screen.finish() == 0
    assert "tiny [red]" in screen.shown
    assert "\x1b[?25h" in screen.shown, "the cursor is shown again"


def test_watch_shows_a_pause_and_how_to_end_it(
    terminal: Any, service: Any, client: Client, job: dict[str, Any]
) -> None:
    submitted = client.submit(job)
    worker = service.claim()
    screen = terminal("watch", submitted.id)
    screen.until("is running on wk_1, attempt 1 of 5")
    client.pause(submitted.id)
    screen.until(f"({submitted.id}) was asked to pause")
    worker.requeue()
    screen.until(f"is paused; to resume it: fitqueue resume {submitted.id}")
    screen.until("Paused")
    client.resume(submitted.id)
    screen.until("is queued again, after attempt 1")
    again = service.claim()
    screen.until("is running on wk_1, attempt 2 of 5")
    again.finish()
    assert screen.finish() == 0


def test_watch_shows_that_a_job_makes_room(terminal: Any, service: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit({**job, "preemptible": True})
    worker = service.claim()
    screen = terminal("watch", submitted.id)
    screen.until("is running on wk_1, attempt 1 of 5")
    worker.ask_to_make_room()
    screen.until(f"({submitted.id}) was asked to make room for another job; it goes on by itself")
    worker.make_room()
    screen.until("is queued again, after attempt 1")
    again = service.claim()
    screen.until("is running on wk_1, attempt 2 of 5")
    again.finish()
    assert screen.finish() == 0


def test_interrupting_watch_does_not_affect_the_job(terminal: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    screen = terminal("watch", submitted.id)
    screen.until("in the queue")
    screen.process.send_signal(signal.SIGINT)
    assert screen.finish() == 130
    assert f"fitqueue cancel {submitted.id}" in screen.shown
    assert "\x1b[?25h" in screen.shown, "the cursor is shown again"
    assert "Traceback" not in screen.shown
    assert client.get(submitted.id).state == "queued"


def test_control_characters_of_a_log_do_not_reach_the_terminal(
    terminal: Any, service: Any, client: Client, job: dict[str, Any]
) -> None:
    submitted = client.submit(job)
    service.claim().log("red \x1b[31m title \x1b]0;owned\x07")
    screen = terminal("logs", submitted.id)
    assert screen.finish() == 0
    assert screen.shown.strip() == "red \\x1b[31m title \\x1b]0;owned\\x07"


def test_a_closed_pipe_is_not_an_error(service: Any, client: Client, job: dict[str, Any], terminal: Any) -> None:
    submitted = client.submit(job)
    service.claim().log(*["line"] * 20_000)
    fitqueue = Path(sys.executable).with_name("fitqueue")
    with subprocess.Popen([fitqueue, "logs", submitted.id], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_login_asks_for_the_token_and_does_not_show_it(
    terminal: Any, service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("FITQUEUE_TOKEN")
    screen = terminal("login")
    screen.until(f"Token for {service.url}: ")
    screen.type(service.token)
    screen.until("Logged in to")
    assert screen.finish() == 0
    assert service.token not in screen.shown
    assert service.token in (tmp_path / "fitqueue" / "client.json").read_text()
