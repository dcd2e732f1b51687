"""Has the models of jobs checked by Keras, in a process of its own: the API itself never loads TensorFlow.

The process is reached by its module's name, never by an import. It is started in the background, takes as long as
TensorFlow's import, and is started anew when it died. A job is never refused because the checker fails: without an
answer it is taken unchecked.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from threading import BoundedSemaphore, Condition, Lock, Thread
from typing import Final

from pydantic import ValidationError

from fitqueue.errors import Fault
from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from fitqueue.spec.report import FaultCode
from service import environment

PROGRAM: Final = "workers.model_check.server"

READY_SECONDS: Final = 5.0
"""How long a question waits for a checker that is still starting."""

ANSWER_SECONDS: Final = 30.0
"""A check takes a tenth of a second; its process ends itself after some seconds of processor time."""

PAUSE_SECONDS: Final = 30.0
"""Between two starts of a checker that cannot be started."""

_logger = logging.getLogger(__name__)


class _Gone(Exception):
    """The checker is not there, or did not begin to answer."""


class Checker:
    """Thread-safe. `start` may be called again: it does nothing while the checker lives."""

    def __init__(self, program: str = PROGRAM) -> None:
        """`program` is the module that the checker runs, by its name."""
        self._program = program
        self._state = Condition(Lock())
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._starting = False
        self._not_before = 0.0
        self._complaint = "it was not started"
        # More children at once than processors would make each of them late.
        self._turns = BoundedSemaphore(os.cpu_count() or 1)

    def start(self) -> None:
        """Start the checker in the background."""
        with self._state:
            if self._starting or self._control is not None or time.monotonic() < self._not_before:
                return
            self._starting = True
            self._complaint = "it is starting"
        try:
            Thread(target=self._start, name="checker", daemon=True).start()
        except RuntimeError as error:  # no thread is left
            self._settle(None, f"it cannot be started: {error}")

    def status(self) -> str:
        """`ok`, or why no model can be checked at the moment."""
        with self._state:
            return "ok" if self._control is not None else self._complaint

    def wait(self, seconds: float) -> bool:
        """Whether the checker is ready, after waiting for it while it starts."""
        with self._state:
            self._state.wait_for(lambda: not self._starting, seconds)
            return self._control is not None

    def ask(self, check_request: ModelCheckRequest) -> ModelCheckResult | None:
        """The answer; None where nobody can tell."""
        if not self.wait(READY_SECONDS):
            self.start()
            return None
        deadline = time.monotonic() + ANSWER_SECONDS
        if not self._turns.acquire(timeout=ANSWER_SECONDS):
            return None
        try:
            return self._asked(check_request, deadline)
        except _Gone as error:
            _logger.warning("The checker is gone; it is started anew.", extra={"error": str(error)})
            self._drop("it died")
            self.start()
        except TimeoutError:
            _logger.warning("The check of a model took too long.", extra={"seconds": ANSWER_SECONDS})
        finally:
            self._turns.release()
        return None

    def close(self) -> None:
        """End the checker, and the children that it has."""
        self._drop("it was closed")
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _asked(self, check_request: ModelCheckRequest, deadline: float) -> ModelCheckResult | None:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._send(theirs)
            ours.settimeout(max(0.0, deadline - time.monotonic()))
            return _read(ours, check_request)

    def _send(self, end: socket.socket) -> None:
        with self._state:
            if self._control is None:
                raise _Gone(self._complaint)
            try:
                socket.send_fds(self._control, [b"?"], [end.fileno()])
            except OSError as error:
                raise _Gone(str(error)) from error

    def _start(self) -> None:
        try:
            process, control = self._run_program()
        except OSError as error:  # no memory, no process or no file is left
            self._settle(None, f"it cannot be started: {error}")
            return
        complaint = _first_words(control)
        if complaint is None:
            self._settle(control, "ok")
            return
        self._settle(None, complaint)
        control.close()
        process.kill()  # who said what is no word of a checker's need not end by itself
        process.wait()

    def _run_program(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """The process, and our end of the line to it."""
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as at_failure:
            at_failure.enter_context(ours)
            process = subprocess.Popen(
                [sys.executable, "-m", self._program],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment.for_children(os.environ),
            )
            at_failure.pop_all()
        with self._state:
            self._process = process
        return process, ours

    def _settle(self, control: socket.socket | None, complaint: str) -> None:
        """Whoever waits for the start waits no longer, whatever became of it."""
        with self._state:
            self._starting = False
            self._control = control
            self._complaint = complaint
            if control is None:
                self._not_before = time.monotonic() + PAUSE_SECONDS
            self._state.notify_all()
        if control is None:
            _logger.warning("Models are not checked before they run.", extra={"error": complaint})

    def _drop(self, complaint: str) -> None:
        with self._state:
            control, self._control = self._control, None
            self._complaint = complaint
        if control is not None:
            control.close()


def _first_words(control: socket.socket) -> str | None:
    """What the checker says is wrong with it; None if it is ready."""
    said = b""
    try:
        while not said.endswith(b"\n"):
            chunk = control.recv(65_536)
            if not chunk:
                return "it ended before it was ready"
            said += chunk
        complaint: str | None = json.loads(said)["complaint"]
    except OSError as error:
        return f"it ended before it was ready: {error}"
    except (ValueError, LookupError, TypeError):
        return f"it said what is no word of a checker's: {said[:100]!r}"
    return complaint


def _read(line: socket.socket, check_request: ModelCheckRequest) -> ModelCheckResult | None:
    """Raises _Gone if no child took the question, TimeoutError if the answer is late."""
    try:
        greeting = line.recv(1)
    except ConnectionResetError as error:
        raise _Gone(str(error)) from error
    if not greeting:
        raise _Gone("it did not take a question")
    try:
        line.sendall(check_request.model_dump_json().encode())
        line.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: line.recv(65_536), b""))
    except (BrokenPipeError, ConnectionResetError):
        said = b""
    *pointers, last = said.decode().split("\n")
    return _understood(last, pointers[-1] if pointers else "/model")


def _understood(said: str, made: str) -> ModelCheckResult | None:
    """`made` is the pointer of what was made when it was said."""
    try:
        answer = ModelCheckResult.model_validate_json(said)
    except ValidationError:  # it died before it had said all
        return ModelCheckResult(faults=[_deadly(made)])
    if answer.failure is not None:
        _logger.error("The checker failed.", extra={"error": answer.failure})
        return None
    return answer


def _deadly(pointer: str) -> Fault:
    return Fault(
        pointer=pointer,
        code=str(FaultCode.TOO_LARGE),
        message="Keras could not make it within the limits of the check, some seconds and 1 GiB of memory.",
        expected="less to make",
    )
