"""What a check is, and how one is made within its time."""

import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal


class CheckFailed(Exception):
    """A check failed. `advice` is what to do about it."""

    def __init__(self, found: str, advice: str) -> None:
        self.advice = advice
        super().__init__(found)


@dataclass(frozen=True)
class Check:
    """`look` returns what it found, or raises `CheckFailed`. `needs` names a check without which this one is of no use."""

    name: str
    look: Callable[[], str]
    advice: str
    """What to do where it fails in a way of its own."""
    seconds: float = 15.0
    needs: str | None = None


@dataclass(frozen=True)
class Finding:
    check: str
    state: Literal["ok", "failed", "not_tried"]
    found: str
    advice: str = ""
    seconds: float = 0.0


def examine(check: Check, failed: Container[str | None]) -> Finding:
    """Never raises, and never takes longer than the check may. `failed` are the checks that have failed before."""
    if check.needs in failed:
        return Finding(check.name, "not_tried", f"needs the check '{check.needs}'")
    began = time.monotonic()
    try:
        found = _within(check.seconds, check.look)
    except CheckFailed as failure:
        return Finding(check.name, "failed", str(failure), failure.advice, time.monotonic() - began)
    except Exception as error:  # each driver has its own kinds
        found = f"{type(error).__name__}: {error}"
        return Finding(check.name, "failed", found, check.advice, time.monotonic() - began)
    return Finding(check.name, "ok", found, seconds=time.monotonic() - began)


def _within(seconds: float, look: Callable[[], str]) -> str:
    # A thread that is left behind where it hangs: a file system that is gone lets nobody go.
    answers: SimpleQueue[str | Exception] = SimpleQueue()
    Thread(target=lambda: answers.put(_answer(look)), daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _answer(look: Callable[[], str]) -> str | Exception:
    try:
        return look()
    except Exception as error:
        return error
