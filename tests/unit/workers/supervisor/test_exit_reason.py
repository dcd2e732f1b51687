import signal

import pytest

from fitqueue.states import Reason
from workers.shared.exit_codes import LEASE_NOT_RENEWED
from workers.supervisor import exit_reason


@pytest.mark.parametrize(
    ("exit_code", "reason", "words"),
    [
        (-signal.SIGKILL, Reason.OUT_OF_MEMORY, "killed by SIGKILL: most likely the machine ran out of memory"),
        (-signal.SIGSEGV, Reason.INTERNAL_ERROR, "killed by SIGSEGV: it touched memory that it must not"),
        (-signal.SIGABRT, Reason.INTERNAL_ERROR, "killed by SIGABRT"),
        (-signal.SIGTERM, None, "killed by SIGTERM: something outside FitQueue"),
        (-signal.SIGUSR1, Reason.INTERNAL_ERROR, "killed by SIGUSR1: FitQueue does not know why"),
        (-(signal.SIGRTMIN + 1), Reason.INTERNAL_ERROR, f"killed by signal {signal.SIGRTMIN + 1}"),
        (3, Reason.INTERNAL_ERROR, "left with exit code 3"),
        (0, Reason.INTERNAL_ERROR, "left with exit code 0 and without a last word"),
        (LEASE_NOT_RENEWED, None, "ended itself, because the lease could not be renewed in time"),
        (None, None, "vanished"),
    ],
)
def test_each_death_has_a_reason_and_words(exit_code: int | None, reason: Reason | None, words: str) -> None:
    death = exit_reason.in_words(exit_code)
    assert death.reason is reason
    assert words in death.message


def test_every_signal_can_be_told() -> None:
    for number in range(1, signal.NSIG):
        assert exit_reason.in_words(-number).message.endswith(".")


def test_the_last_fifty_lines_are_told() -> None:
    lines = [f"line {n}" for n in range(60)]
    assert exit_reason.last_lines(lines).splitlines() == ["Its last 50 lines:", *lines[10:]]


def test_nothing_is_told_where_nothing_was_printed() -> None:
    assert exit_reason.last_lines([]) == ""
