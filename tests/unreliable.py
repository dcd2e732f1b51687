"""A database whose calls fail at random: half of the failures before the call did anything, half after it was done."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

SHARE: Final = 0.01
COMPLAINT: Final = "a fault that the test has made"


@dataclass
class Faults:
    """Injects faults into calls of the database."""

    chance: random.Random
    share: float = SHARE
    """The share of calls that fail."""
    armed: Callable[[], bool] = lambda: True
    """Tells whether the current call may fail."""
    count: int = 0
    """How many calls have failed."""

    def failing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method of a dialect with faults injected."""

        def call(dialect: Any, *arguments: Any, **options: Any) -> Any:
            draw = self.chance.random() if self.armed() else 0.5
            if draw < self.share / 2:
                self._fail(dialect)
            answer = original(dialect, *arguments, **options)
            if draw > 1 - self.share / 2:
                self._fail(dialect)
            return answer

        return call

    def _fail(self, dialect: Any) -> None:
        self.count += 1
        raise dialect.dbapi.OperationalError(COMPLAINT)


def make_unreliable(seed: int | None = None) -> Faults:
    """Let one in a hundred statements and commits of this process fail from now on."""
    faults = Faults(random.Random(seed))
    for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        for name in ("do_execute", "do_commit"):
            setattr(dialect, name, faults.failing(getattr(dialect, name)))
    return faults
