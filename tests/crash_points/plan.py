"""At which step of a job's life a process crashes, and how a step is made to crash."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Plan:
    """The process that comes to the step for the n-th time is killed, in so many attempts of the job."""

    step: str
    moment: Moment
    attempts: int = 1
    occurrence: int | None = None
    """Counted from 1; None: at a time that suits the step."""
    without: str = "nothing"
    """The guard that the training process goes without."""

    @property
    def name(self) -> str:
        """As the name of a job, in which it reaches the training process."""
        return f"{self.step} {self.moment} {self.attempts} {self.occurrence or '-'} {self.without}"

    @classmethod
    def of(cls, name: str) -> "Plan":
        step, moment, attempts, occurrence, without = name.split()
        assert moment in {"before", "after"}
        wanted = None if occurrence == "-" else int(occurrence)
        return cls(step, moment, int(attempts), wanted, without)  # type: ignore[arg-type] # the assert has looked


NO_CRASH: Final = Plan("nowhere", "before", 0)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def make_crash(owner: Any, attribute: str, moment: Moment, occurrence: int, do: Callable[[], None] = crash) -> None:
    """Have the call of `owner.attribute` that is the n-th crash, before it has done anything or when it has done it."""
    original = getattr(owner, attribute)
    calls = 0

    def crashing(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        is_due = calls == occurrence
        if is_due and moment == "before":
            do()
        answer = original(*arguments, **more)
        if is_due and moment == "after":
            do()
        return answer

    setattr(owner, attribute, crashing)
