"""At which step of a job's life a process crashes, and how a step is made to crash."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Plan:
    """The process that reaches the step for the n-th time is killed, in the first `attempts` attempts of the job."""

    step: str
    moment: Moment
    attempts: int = 1
    occurrence: int | None = None
    """Counted from 1; None: a number that suits the step."""
    without: str = "nothing"
    """A guard that the training process lacks."""

    @property
    def name(self) -> str:
        """The name of a job, which takes the plan to the training process."""
        return f"{self.step} {self.moment} {self.attempts} {self.occurrence or '-'} {self.without}"

    @classmethod
    def parse(cls, name: str) -> "Plan":
        """Return the plan in the name of a job."""
        step, moment, attempts, occurrence, without = name.split()
        assert moment in {"before", "after"}
        number = None if occurrence == "-" else int(occurrence)
        return cls(step, moment, int(attempts), number, without)  # type: ignore[arg-type] # asserted above


NO_CRASH: Final = Plan("nowhere", "before", 0)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def make_crash(owner: Any, attribute: str, moment: Moment, occurrence: int, act: Callable[[], None] = crash) -> None:
    """Make the n-th call of `owner.attribute` crash, before it has done anything or after it has done everything."""
    original = getattr(owner, attribute)
    calls = 0

    def crashing(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        is_due = calls == occurrence
        if is_due and moment == "before":
            act()
        result = original(*arguments, **keywords)
        if is_due and moment == "after":
            act()
        return result

    setattr(owner, attribute, crashing)
