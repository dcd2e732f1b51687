"""A database of which some calls fail: half of them before anything was done, half when it was done."""

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
    """Calls fail where and while `armed` tells. `count` of them have failed."""

    chance: random.Random
    share: float = SHARE
    armed: Callable[[], bool] = lambda: True
    count: int = 0

    def failing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def act(dialect: Any, *arguments: Any, **more: Any) -> Any:
            fate = self.chance.random() if self.armed() else 0.5
            if fate < self.share / 2:
                self._fail(dialect)
            answer = original(dialect, *arguments, **more)
            if fate > 1 - self.share / 2:
                self._fail(dialect)
            return answer

        return act

    def _fail(self, dialect: Any) -> None:
        self.count += 1
        raise dialect.dbapi.OperationalError(COMPLAINT)


def make_unreliable(seed: int | None = None) -> Faults:
    """One call in a hundred fails from now on, in this process."""
    faults = Faults(random.Random(seed))
    for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        for name in ("do_execute", "do_commit"):
            setattr(dialect, name, faults.failing(getattr(dialect, name)))
    return faults
