"""Lets Keras check the models of jobs in a process of its own: the API itself never loads TensorFlow.

The process is named by its module, never imported. It is started in the background, which takes as long as the import
of TensorFlow, and started again if it dies. No job is refused because the checker fails: without an answer, the job is
accepted unchecked.
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
from fitqueue.spec.findings import FaultCode
from service import environment

PROGRAM: Final = "workers.model_check.server"

READY_TIMEOUT: Final = 5.0
"""Seconds that a request waits for a checker that is still starting."""

ANSWER_TIMEOUT: Final = 30.0
"""Seconds that a check may take, including the wait while others are checked. Alone it takes a tenth of one."""

RESTART_PAUSE: Final = 30.0
"""Seconds between two starts of a checker that cannot be started."""

STARTING: Final = "it is starting"
"""The status of a checker that imports TensorFlow."""

_CHUNK: Final = 65_536
_logger = logging.getLogger(__name__)


class _CheckerGone(Exception):
    """The checker is not running, or did not begin to answer."""


class Checker:
    """Starts the checker process and sends it requests. Thread-safe."""

    def __init__(self, program: str = PROGRAM) -> None:
        """Prepare a checker that runs the module `program`; `start` starts it."""
        self._program = program
        self._changed = Condition(Lock())
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._is_starting = False
        self._not_before = 0.0
        self._problem = "it was not started"
        # More concurrent checks than processors that this process may use would make each of them late.
        self._turns = BoundedSemaphore(len(os.sched_getaffinity(0)))

    def start(self) -> None:
        """Start the checker in the background, unless it is running or starting."""
        with self._changed:
            if self._is_starting or self._control is not None or time.monotonic() < self._not_before:
                return
            self._is_starting = True
            self._problem = STARTING
        try:
            Thread(target=self._start, name="checker", daemon=True).start()
        except RuntimeError as error:  # no thread is left
            self._settle(None, f"it cannot be started: {error}")

    def status(self) -> str:
        """Return `ok`, or why models cannot be checked right now."""
        with self._changed:
            return "ok" if self._control is not None else self._problem

    def wait(self, seconds: float) -> bool:
        """Wait while the checker starts; return whether it is ready."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_starting, seconds)
            return self._control is not None

    def check(self, request: ModelCheckRequest) -> ModelCheckResult | None:
        """Have a job checked; None if nobody can tell."""
        if not self.wait(READY_TIMEOUT):
            self.start()
            return None
        deadline = time.monotonic() + ANSWER_TIMEOUT
        if not self._turns.acquire(timeout=ANSWER_TIMEOUT):
            _logger.warning("A model was not checked: too many others were.", extra={"seconds": ANSWER_TIMEOUT})
            return None
        try:
            return self._exchange(request, deadline)
        except _CheckerGone as error:
            _logger.warning("The checker is gone; it is started again.", extra={"error": str(error)})
            self._drop("it died")
            self.start()
        except TimeoutError:
            _logger.warning("The check of a model took too long.", extra={"seconds": ANSWER_TIMEOUT})
        except OSError as error:  # no file descriptor or memory is left
            _logger.warning("A model was not checked.", extra={"error": str(error)})
        finally:
            self._turns.release()
        return None

    def close(self) -> None:
        """End the checker and its children."""
        self._drop("it was closed")
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _exchange(self, request: ModelCheckRequest, deadline: float) -> ModelCheckResult | None:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._hand_over(theirs)
            return _ask(_Connection(ours, deadline), request)

    def _hand_over(self, connection: socket.socket) -> None:
        """Give the checker its end of the connection for one request."""
        with self._changed:
            if self._control is None:
                raise _CheckerGone(self._problem)
            try:
                socket.send_fds(self._control, [b"?"], [connection.fileno()])
            except OSError as error:
                raise _CheckerGone(str(error)) from error

    def _start(self) -> None:
        try:
            process, control = self._run_program()
        except OSError as error:  # no memory, process or file descriptor is left
            self._settle(None, f"it cannot be started: {error}")
            return
        problem = _read_greeting(control)
        if problem is None:
            self._settle(control, "ok")
            return
        self._settle(None, problem)
        control.close()
        process.kill()  # after a message that we do not understand, it may not exit by itself
        process.wait()

    def _run_program(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Start the process; return it and our end of the control connection."""
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as on_failure:
            on_failure.enter_context(ours)
            process = subprocess.Popen(
                [sys.executable, "-m", self._program],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment.for_children(os.environ),
            )
            on_failure.pop_all()
        with self._changed:
            self._process = process
        return process, ours

    def _settle(self, control: socket.socket | None, problem: str) -> None:
        """End the start, successful or not, for everybody who waits for it."""
        with self._changed:
            self._is_starting = False
            self._control = control
            self._problem = problem
            if control is None:
                self._not_before = time.monotonic() + RESTART_PAUSE
            self._changed.notify_all()
        if control is None:
            _logger.warning("Models are not checked before they run.", extra={"error": problem})

    def _drop(self, problem: str) -> None:
        with self._changed:
            control, self._control = self._control, None
            self._problem = problem
        if control is not None:
            control.close()


def _read_greeting(control: socket.socket) -> str | None:
    """Return what the checker says is wrong with it; None if it is ready."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            chunk = control.recv(_CHUNK)
            if not chunk:
                return "it exited before it was ready"
            line += chunk
        problem: str | None = json.loads(line)["problem"]
    except OSError as error:
        return f"it exited before it was ready: {error}"
    except (ValueError, LookupError, TypeError):
        return f"it sent a message that the API does not understand: {line[:100]!r}"
    return problem


class _Connection:
    """Our end of the connection for one request. Every operation ends at the same deadline."""

    def __init__(self, end: socket.socket, deadline: float) -> None:
        self._end = end
        self._deadline = deadline

    def receive(self, size: int) -> bytes:
        return self._in_time().recv(size)

    def send_all(self, content: bytes) -> None:
        end = self._in_time()
        end.sendall(content)
        end.shutdown(socket.SHUT_WR)

    def _in_time(self) -> socket.socket:
        """Return the socket, with the time that is left as its timeout.

        Raises:
            TimeoutError: no time is left. A timeout of 0 would instead make the socket fail at once.
        """
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._end.settimeout(seconds)
        return self._end


def _ask(connection: _Connection, request: ModelCheckRequest) -> ModelCheckResult | None:
    """Send a request and read the result.

    Raises:
        _CheckerGone: no child took the request.
        TimeoutError: the result is late.
    """
    try:
        first_byte = connection.receive(1)
    except ConnectionResetError as error:
        raise _CheckerGone(str(error)) from error
    if not first_byte:
        raise _CheckerGone("it did not take a request")
    try:
        connection.send_all(request.model_dump_json().encode())
        answer = b"".join(iter(lambda: connection.receive(_CHUNK), b""))
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    *pointers, last = answer.decode().split("\n")
    return _parse(last, pointers[-1] if pointers else "/model")


def _parse(answer: str, last_pointer: str) -> ModelCheckResult | None:
    """Parse a result. `last_pointer` is what Keras was building when the answer ended."""
    try:
        result = ModelCheckResult.model_validate_json(answer)
    except ValidationError:  # the child died before it had sent everything
        return ModelCheckResult(faults=[_too_large(last_pointer)])
    if result.failure is not None:
        _logger.error("The checker failed.", extra={"error": result.failure})
        return None
    return result


def _too_large(pointer: str) -> Fault:
    return Fault(
        pointer=pointer,
        code=str(FaultCode.TOO_LARGE),
        message="Keras could not build it within the limits of the check: some seconds and 1 GiB of memory.",
        expected="something smaller",
    )
