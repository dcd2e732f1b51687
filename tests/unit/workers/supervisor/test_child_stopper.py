"""When a child is asked to stop, pressed and killed. The child only records; the clock is the test's."""

from signal import SIGKILL, SIGTERM, Signals
from threading import Event
from typing import Any

import pytest

from service.store.leases import StopRequests
from workers.shared.protocol import Stop
from workers.supervisor import child_stopper
from workers.supervisor.child import ChildNotReading
from workers.supervisor.child_stopper import ChildStopper
from workers.supervisor.context import Timeouts

READ_WITHIN_SECONDS = 2.0
"""A request is read once a second."""

TIMEOUTS = Timeouts(first_message=60.0, term=5.0, kill=7.0, silence=600.0)


class RecordingChild:
    """Records what it is sent. A deaf one reads nothing."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.is_deaf = False

    def send(self, message: Stop) -> None:
        if self.is_deaf:
            raise ChildNotReading
        self.received.append(message.cause)

    def signal(self, number: Signals) -> None:
        self.received.append(number)


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


class Watched:
    """A stopper with what it watches."""

    def __init__(self, clock: Clock, timeouts: Timeouts = TIMEOUTS) -> None:
        self.clock, self.child, self.stopping, self.requests = clock, RecordingChild(), Event(), StopRequests()
        self.stopper = ChildStopper(self.child, timeouts, self.stopping, lambda: self.requests, seconds_left=3600.0)  # type: ignore[arg-type]

    def after(self, seconds: float) -> list[Any]:
        """Move the clock, enforce the deadlines, and return what the child has received until now."""
        self.clock.seconds += seconds
        self.stopper.enforce()
        return self.child.received

    def after_silence(self, seconds: float) -> list[Any]:
        """As `after`, while there is nothing to read from the child."""
        self.clock.seconds += seconds
        self.stopper.note_silence()
        return self.child.received


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(child_stopper, "time", clock)
    return clock


@pytest.fixture
def watched(clock: Clock) -> Watched:
    return Watched(clock)


def test_an_active_child_is_left_alone(watched: Watched) -> None:
    for _ in range(7):
        watched.stopper.note_activity()
        assert watched.after_silence(500.0) == []
    assert watched.stopper.cause is None


def test_a_child_that_nobody_reads_is_not_silent(watched: Watched) -> None:
    """What it sent waits while the database is slow."""
    assert watched.after(3_000.0) == []
    watched.stopper.note_activity()
    assert watched.after(599.0) == []
    assert not watched.stopper.was_killed_for_silence


@pytest.mark.parametrize(
    ("requests", "cause"),
    [
        (StopRequests(cancel=True), "cancel"),
        (StopRequests(pause=True), "pause"),
        (StopRequests(cancel=True, pause=True), "cancel"),
        (StopRequests(drain=True), "drain"),
        (StopRequests(pause=True, drain=True), "pause"),
    ],
)
def test_a_request_is_passed_on_once_and_then_enforced(requests: StopRequests, cause: str, watched: Watched) -> None:
    watched.requests = requests
    assert watched.after(0.0) == [cause]
    assert watched.after(4.9) == [cause]
    assert watched.after(0.2) == [cause, SIGTERM]
    assert watched.after(2.0) == [cause, SIGTERM, SIGKILL]
    assert watched.stopper.cause == cause


def test_a_gpu_is_free_ten_seconds_after_a_user_asked_for_it(clock: Clock) -> None:
    watched = Watched(clock, Timeouts())
    watched.requests = StopRequests(cancel=True)
    watched.after(READ_WITHIN_SECONDS)
    assert SIGKILL in watched.after(10.0 - READ_WITHIN_SECONDS)


def test_the_first_cause_counts(watched: Watched) -> None:
    watched.stopping.set()
    watched.after(0.0)
    watched.requests = StopRequests(cancel=True)
    assert watched.after(1.0) == ["shutdown"]
    assert watched.stopper.cause == "shutdown"


def test_a_request_counts_more_than_a_shutdown(watched: Watched) -> None:
    watched.stopping.set()
    watched.requests = StopRequests(cancel=True)
    assert watched.after(0.0) == ["cancel"]


def test_a_child_is_stopped_when_its_job_has_run_long_enough(watched: Watched) -> None:
    watched.stopper.note_activity()
    assert watched.after(599.0) == []
    for _ in range(6):
        watched.stopper.note_activity()
        watched.after(500.0)
    assert watched.child.received == []
    watched.stopper.note_activity()
    assert watched.after(1.0) == ["max_runtime"]


def test_a_child_that_does_not_read_is_killed_all_the_same(watched: Watched) -> None:
    watched.child.is_deaf = True
    watched.requests = StopRequests(cancel=True)
    assert watched.after(0.0) == []
    assert watched.after(5.0) == [SIGTERM]
    assert watched.after(2.0) == [SIGTERM, SIGKILL]


def test_a_child_that_never_sends_anything_is_killed_early(watched: Watched) -> None:
    assert watched.after_silence(59.0) == []
    assert watched.after_silence(1.0) == [SIGKILL]
    assert watched.stopper.was_killed_for_silence
    assert not watched.stopper.was_active


def test_a_silent_child_is_killed(watched: Watched) -> None:
    watched.stopper.note_activity()
    assert watched.after_silence(599.0) == []
    assert watched.after_silence(1.0) == [SIGKILL]
    assert watched.stopper.was_killed_for_silence
    assert watched.stopper.was_active
