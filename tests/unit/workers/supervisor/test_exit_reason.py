import signal

import pytest

from fitqueue.states import Reason
from workers.shared.exit_codes import LEASE_NOT_RENEWED
from workers.supervisor import exit_reason


@pytest.mark.parametrize(
    ("exit_code", "reason", "explanation"),
    [
        (-signal.SIGKILL, Reason.OUT_OF_MEMORY, "killed by SIGKILL: most likely the machine ran out of memory"),
        (-signal.SIGSEGV, Reason.INTERNAL_ERROR, "killed by SIGSEGV: a fault in native code (invalid memory access)"),
        (-signal.SIGABRT, Reason.INTERNAL_ERROR, "killed by SIGABRT"),
        (-signal.SIGTERM, None, "killed by SIGTERM: something outside FitQueue"),
        (-signal.SIGUSR1, Reason.INTERNAL_ERROR, "killed by SIGUSR1: FitQueue does not know why"),
        (-(signal.SIGRTMIN + 1), Reason.INTERNAL_ERROR, f"killed by signal {signal.SIGRTMIN + 1}"),
        (3, Reason.INTERNAL_ERROR, "exited with code 3"),
        (0, Reason.INTERNAL_ERROR, "exited with code 0 and without a last message"),
        (LEASE_NOT_RENEWED, None, "exited because its lease was not renewed in time"),
        (None, None, "disappeared"),
    ],
)
def test_each_exit_code_has_a_reason_and_an_explanation(
    exit_code: int | None, reason: Reason | None, explanation: str
) -> None:
    exited = exit_reason.explain(exit_code)
    assert exited.reason is reason
    assert explanation in exited.message


def test_every_signal_is_explained() -> None:
    for number in range(1, signal.NSIG):
        assert exit_reason.explain(-number).message.endswith(".")


def test_the_last_fifty_lines_are_shown() -> None:
    lines = [f"line {n}" for n in range(60)]
    assert exit_reason.last_lines(lines).splitlines() == ["Its last 50 lines:", *lines[10:]]


def test_a_process_that_printed_nothing_shows_nothing() -> None:
    assert exit_reason.last_lines([]) == ""
