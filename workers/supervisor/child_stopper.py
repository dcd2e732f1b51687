"""Stops the child of one attempt: on request, when it has run for too long, or when it hangs."""

import time
from collections.abc import Callable
from contextlib import suppress
from signal import SIGKILL, SIGTERM
from threading import Event

from service.store.leases import StopRequests
from workers.shared.protocol import Stop, StopCause
from workers.supervisor.child import Child, ChildNotReading
from workers.supervisor.context import Timeouts


def leave_cause(requests: StopRequests, stopping: Event) -> StopCause | None:
    """Return why the job must leave its worker; None if it need not.

    Args:
        stopping: set when the worker shuts down.
    """
    if requests.cancel:
        return "cancel"
    if requests.pause:
        return "pause"
    if stopping.is_set():
        return "shutdown"
    if requests.drain:
        return "drain"
    return "preempt" if requests.preempt else None


class ChildStopper:
    """Enforces the deadlines of one child, and remembers why it was stopped."""

    def __init__(
        self,
        child: Child,
        timeouts: Timeouts,
        stopping: Event,
        get_requests: Callable[[], StopRequests],
        seconds_left: float,
    ) -> None:
        """Watch a child that was just started.

        Args:
            stopping: set when the worker shuts down.
            get_requests: returns what users have asked of the job and of its worker.
            seconds_left: how long the job may still run.
        """
        self.cause: StopCause | None = None
        """Why the child was asked to stop. The first cause counts, for the child too."""
        self.was_active = False
        self.was_killed_for_silence = False
        self._child = child
        self._timeouts = timeouts
        self._stopping = stopping
        self._get_requests = get_requests
        self._active_at = time.monotonic()
        self._run_until = self._active_at + seconds_left
        self._asked_at = 0.0

    def note_activity(self) -> None:
        """Note that the child was active, or that nobody is reading what it sends."""
        self.was_active = True
        self._active_at = time.monotonic()

    def note_silence(self) -> None:
        """Note that there is nothing to read from the child; kill it if that is so for too long."""
        limit = self._timeouts.silence if self.was_active else self._timeouts.first_message
        if time.monotonic() - self._active_at >= limit:
            self.was_killed_for_silence = True
            self._child.signal(SIGKILL)

    def enforce(self) -> None:
        """Do what is due: ask the child to stop, then send SIGTERM, then SIGKILL."""
        now = time.monotonic()
        if self.cause is None:
            self._ask(self._due_cause(now))
        if self.cause is not None:
            self._escalate(now - self._asked_at)

    def _due_cause(self, now: float) -> StopCause | None:
        cause = leave_cause(self._get_requests(), self._stopping)
        return "max_runtime" if cause is None and now >= self._run_until else cause

    def _ask(self, cause: StopCause | None) -> None:
        if cause is not None:
            self.cause, self._asked_at = cause, time.monotonic()
            with suppress(ChildNotReading):  # SIGTERM and SIGKILL follow
                self._child.send(Stop(cause=cause))

    def _escalate(self, waited: float) -> None:
        if waited >= self._timeouts.kill:
            self._child.signal(SIGKILL)
        elif waited >= self._timeouts.term:
            self._child.signal(SIGTERM)
