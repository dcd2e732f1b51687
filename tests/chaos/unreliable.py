"""A database of which one call in a hundred fails: half of them before anything was done, half when it was done."""

import random
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

SHARE: Final = 0.01
COMPLAINT: Final = "a fault that the test has made"


def make_unreliable() -> None:
    """From now on, in this process."""
    chance = random.Random()
    for name in ("do_execute", "do_commit"):
        setattr(PGDialect_psycopg, name, _failing(getattr(PGDialect_psycopg, name), chance))


def _failing(original: Callable[..., Any], chance: random.Random) -> Callable[..., Any]:
    def act(dialect: Any, *arguments: Any, **more: Any) -> Any:
        fate = chance.random()
        if fate < SHARE / 2:
            raise dialect.dbapi.OperationalError(COMPLAINT)
        answer = original(dialect, *arguments, **more)
        if fate > 1 - SHARE / 2:
            raise dialect.dbapi.OperationalError(COMPLAINT)
        return answer

    return act
