"""The process of the checker: its environment, its failures, and that no job is refused because of them."""

import copy
import errno
import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import psutil
import pytest
from flask.testing import FlaskClient

from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from service.checker import READY_TIMEOUT, Checker, _ask, _CheckerGone, _Connection

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
    first.wait(120)
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


# --- Many requests, and late ones -------------------------------------------------------------------------------------

SIDE_BY_SIDE = 3
ANSWERS_ALL_TOGETHER = f"""
import socket, sys
control = socket.socket(fileno=sys.stdin.fileno())
control.sendall(b'{{"problem": null}}\\n')
connections = [socket.socket(fileno=socket.recv_fds(control, 1, 1)[1][0]) for _ in range({SIDE_BY_SIDE})]
for connection in connections:
    connection.sendall(b"+")
    while connection.recv(65_536):
        pass
    connection.sendall(b"{{}}")
    connection.close()
control.recv(1)
"""


def test_as_many_checks_run_side_by_side_as_there_are_processors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The program answers only when it has all requests: one after the other, none would be answered."""
    (tmp_path / "answers_all_together.py").write_text(ANSWERS_ALL_TOGETHER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(SIDE_BY_SIDE)))
    checker = Checker("answers_all_together")
    checker.start()
    assert checker.wait(60), checker.status()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        results = list(threads.map(lambda _: checker.check(CHECK_REQUEST), range(SIDE_BY_SIDE)))
    assert results == [ModelCheckResult()] * SIDE_BY_SIDE
    checker.close()


def test_a_request_whose_turn_comes_late_has_no_result(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no time left, a timeout of 0 would make the socket fail at once, with another error."""
    monkeypatch.setattr("service.checker.ANSWER_TIMEOUT", 0.0)
    assert checker.check(CHECK_REQUEST) is None
    assert checker.status() == "ok"
    monkeypatch.undo()
    assert checker.check(CHECK_REQUEST) is not None


def test_a_request_that_gets_no_turn_has_no_result(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.checker.ANSWER_TIMEOUT", 0.1)
    monkeypatch.setattr(checker, "_turns", BoundedSemaphore(1))
    with checker._turns:
        assert checker.check(CHECK_REQUEST) is None


def test_a_result_that_does_not_come_in_time_is_none(own_checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.checker.ANSWER_TIMEOUT", 1.0)
    process = process_of(own_checker)
    process.suspend()
    try:
        assert own_checker.check(CHECK_REQUEST) is None
    finally:
        process.resume()


def test_a_machine_without_file_descriptors_gives_no_result(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socketpair", fail)
    assert checker.check(CHECK_REQUEST) is None


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_thirty_jobs_at_once_are_all_accepted(
    api: FlaskClient, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Those that could not be checked in time say so. With 0 seconds, that is each of them."""
    monkeypatch.setattr("service.checker.ANSWER_TIMEOUT", seconds)
    body = {
        "model": copy.deepcopy(CHECK_REQUEST.spec["model"]),
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "california_housing", "x": "x_train", "y": "y_train"},
    }
    body["model"]["config"]["layers"][0]["config"]["shape"] = [8]
    with ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(lambda _: api.post("/api/v1/jobs", json=body), range(30)))
    assert [answer.status_code for answer in answers] == [201] * 30, answers[0].text
    for answer in answers:
        is_unchecked = "unchecked" in {notice["code"] for notice in answer.json["notices"]}
        assert is_unchecked == (answer.json["model"] is None)
        assert is_unchecked or seconds > 0


# --- A checker that does not work -------------------------------------------------------------------------------------


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
    process.wait(120)


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
            _ask(_Connection(ours, time.monotonic() + 60), CHECK_REQUEST)
