"""The checker's process: what it knows, how it dies, and that no job is refused because of it."""

import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from fitqueue.model_check import ModelCheckRequest
from service.checker import READY_SECONDS, Checker, _Gone, _read

QUESTION = ModelCheckRequest.model_validate(
    {
        "spec": {
            "model": {
                "class_name": "Sequential",
                "config": {
                    "layers": [
                        {"class_name": "InputLayer", "config": {"shape": [4]}},
                        {"class_name": "Dense", "config": {"units": 1}},
                    ]
                },
            },
            "compile": {"optimizer": {"class_name": "SGD", "config": {}}, "loss": "mse"},
            "data": {"dataset": "d", "x": "x", "y": "y"},
            "seed": 1,
        },
        "arrays": {"x": {"shape": [9, 4], "dtype": "float32"}, "y": {"shape": [9, 1], "dtype": "float32"}},
        "classes": None,
        "dataset_path": None,
        "max_bytes": 10**9,
    }
)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A checker of this test's, made where secrets lie about."""
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", "postgresql://user:secret@host/db")
    checker = Checker()
    checker.start()
    assert checker.wait(120), checker.status()
    yield checker
    checker.close()


def process_of(checker: Checker) -> psutil.Process:
    assert checker._process is not None
    return psutil.Process(checker._process.pid)


def test_killed_it_costs_one_answer_and_comes_back(own: Checker) -> None:
    first = process_of(own)
    assert not [name for name in first.environ() if name.startswith("FITQUEUE")]
    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    assert own.ask(QUESTION) is None
    assert own.wait(120), own.status()
    answer = own.ask(QUESTION)
    assert answer is not None
    assert answer.summary is not None
    assert answer.summary.parameters == 5


def test_many_ask_at_once(checker: Checker) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: checker.ask(QUESTION), range(24)))
    assert {answer.summary.parameters for answer in answers if answer and answer.summary} == {5}
    assert len([answer for answer in answers if answer]) == 24


def test_without_what_it_needs_no_job_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise ImportError('not in this image')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    checker = Checker()
    checker.start()
    assert not checker.wait(60)
    assert "not in this image" in checker.status()
    assert checker.ask(QUESTION) is None
    checker.close()


def test_a_program_that_is_none() -> None:
    checker = Checker("workers.no_such_module")
    checker.start()
    assert not checker.wait(60)
    assert checker.status() == "it ended before it was ready"


def test_it_goes_with_the_api() -> None:
    checker = Checker()
    checker.start()
    assert checker.wait(120), checker.status()
    process = process_of(checker)
    checker._drop("as when the API is killed")
    process.wait(10)


def test_one_that_cannot_be_started_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    checker = Checker()
    checker.start()
    assert not checker.wait(60)
    assert "cannot be started" in checker.status()
    began = time.monotonic()
    assert checker.ask(QUESTION) is None
    assert time.monotonic() - began < READY_SECONDS
    checker.close()


@pytest.mark.parametrize("words", ["hello", "[]", "{}", "3"])
def test_one_that_says_something_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str) -> None:
    (tmp_path / "says_something_else.py").write_text(
        f"import signal, socket, sys\n"
        f"socket.socket(fileno=sys.stdin.fileno()).sendall({words + chr(10)!r}.encode())\n"
        f"signal.pause()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    checker = Checker("says_something_else")
    checker.start()
    assert not checker.wait(60)
    assert f"it said what is no word of a checker's: b'{words}" in checker.status()
    checker.close()


def test_a_line_that_is_cut_before_the_greeting_says_nothing_of_the_job() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"never read")
        theirs.close()
        with pytest.raises(_Gone):
            _read(ours, QUESTION)
