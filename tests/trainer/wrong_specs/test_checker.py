"""The process of the checker: its environment, its failures, and that no job is refused because of them."""

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
from service.checker import READY_TIMEOUT, Checker, _ask, _CheckerGone

CHECK_REQUEST = ModelCheckRequest.model_validate(
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
        "max_bytes": 10**9,
    }
)


@pytest.fixture
def own_checker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A checker for one test, started from an environment with secrets."""
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", "postgresql://user:secret@host/db")
    checker = Checker()
    checker.start()
    assert checker.wait(120), checker.status()
    yield checker
    checker.close()


def process_of(checker: Checker) -> psutil.Process:
    assert checker._process is not None
    return psutil.Process(checker._process.pid)


def test_a_killed_checker_misses_one_request_and_restarts(own_checker: Checker) -> None:
    first = process_of(own_checker)
    assert not [name for name in first.environ() if name.startswith("FITQUEUE")]
    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    assert own_checker.check(CHECK_REQUEST) is None
    assert own_checker.wait(120), own_checker.status()
    result = own_checker.check(CHECK_REQUEST)
    assert result is not None
    assert result.summary is not None
    assert result.summary.parameters == 5


def test_many_requests_at_once(checker: Checker) -> None:
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: checker.check(CHECK_REQUEST), range(24)))
    assert {result.summary.parameters for result in results if result and result.summary} == {5}
    assert len([result for result in results if result]) == 24


def test_a_checker_without_tensorflow_has_no_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise ImportError('not in this image')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    checker = Checker()
    checker.start()
    assert not checker.wait(60)
    assert "not in this image" in checker.status()
    assert checker.check(CHECK_REQUEST) is None
    checker.close()


def test_a_program_that_does_not_exist() -> None:
    checker = Checker("workers.no_such_module")
    checker.start()
    assert not checker.wait(60)
    assert checker.status() == "it exited before it was ready"


def test_the_checker_ends_with_the_api() -> None:
    checker = Checker()
    checker.start()
    assert checker.wait(120), checker.status()
    process = process_of(checker)
    checker._drop("as when the API is killed")
    process.wait(10)


def test_a_checker_that_cannot_be_started_does_not_delay_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    checker = Checker()
    checker.start()
    assert not checker.wait(60)
    assert "cannot be started" in checker.status()
    started_at = time.monotonic()
    assert checker.check(CHECK_REQUEST) is None
    assert time.monotonic() - started_at < READY_TIMEOUT
    checker.close()


@pytest.mark.parametrize("greeting", ["hello", "[]", "{}", "3"])
def test_a_program_that_is_not_a_checker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, greeting: str) -> None:
    (tmp_path / "not_a_checker.py").write_text(
        f"import signal, socket, sys\n"
        f"socket.socket(fileno=sys.stdin.fileno()).sendall({greeting + chr(10)!r}.encode())\n"
        f"signal.pause()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    checker = Checker("not_a_checker")
    checker.start()
    assert not checker.wait(60)
    assert f"it sent a message that the API does not understand: b'{greeting}" in checker.status()
    checker.close()


def test_a_connection_lost_before_the_greeting_gives_no_result() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"never read")
        theirs.close()
        with pytest.raises(_CheckerGone):
            _ask(ours, CHECK_REQUEST)
