"""One check of the doctor, and how it is run within its time."""

import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal


class CheckFailed(Exception):
    """A check failed in a way that it knows."""

    def __init__(self, detail: str, advice: str) -> None:
        """Say what is wrong, and what to do about it."""
        self.advice = advice
        super().__init__(detail)


@dataclass(frozen=True)
class Check:
    """Something that a worker needs. `run` returns a detail for people, or raises."""

    name: str
    run: Callable[[], str]
    advice: str
    """What to do if `run` raises anything but CheckFailed."""
    timeout: float = 15.0
    needs: str | None = None
    """The name of a check that must have succeeded; otherwise this one is skipped."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found, for people and as JSON."""

    check: str
    state: Literal["ok", "failed", "skipped"]
    detail: str
    advice: str = ""
    seconds: float = 0.0


def run_check(check: Check, failed: Container[str | None]) -> CheckResult:
    """Run a check. This never raises, and never takes longer than the check's timeout.

    Args:
        failed: the names of the checks that have not succeeded before.
    """
    if check.needs in failed:
        return CheckResult(check.name, "skipped", f"needs the check '{check.needs}'")
    began = time.monotonic()
    try:
        detail = _run_within(check.timeout, check.run)
    except CheckFailed as failure:
        return CheckResult(check.name, "failed", str(failure), failure.advice, time.monotonic() - began)
    except Exception as error:  # each driver has its own exceptions
        detail = f"{type(error).__name__}: {error}"
        return CheckResult(check.name, "failed", detail, check.advice, time.monotonic() - began)
    return CheckResult(check.name, "ok", detail, seconds=time.monotonic() - began)


def _run_within(timeout: float, run: Callable[[], str]) -> str:
    # If it hangs, the thread is left behind: a call on a dead network file system cannot be interrupted.
    results: SimpleQueue[str | Exception] = SimpleQueue()
    Thread(target=lambda: results.put(_result_or_error(run)), daemon=True).start()
    try:
        result = results.get(timeout=timeout)
    except Empty:
        raise TimeoutError(f"no answer within {timeout:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def _result_or_error(run: Callable[[], str]) -> str | Exception:
    try:
        return run()
    except Exception as error:
        return error
