"""A plugin for pytest: one call in a hundred of the database fails while a test runs.

`make faults` runs it; `FAULTS_SEED` brings the same faults again. Many of these tests talk to the store, or to the API,
with nobody behind them who tries again. So a test may meet a fault, if it is told of it in order: by a
DatabaseUnavailable, or by an answer 503. What else fails, fails: another answer, a wrong number, one thing done twice,
a hang. Tests that look into the database beside an API or a worker meet faults in the answers of the API alone.
Hypothesis's own tests are left out: what they draw may hang on nothing but what they drew.
"""

import os
import random
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from flask import Response, has_request_context, request_finished

from fitqueue.errors import DatabaseUnavailable
from tests.unreliable import COMPLAINT, Faults, make_unreliable

SEED = os.environ.get("FAULTS_SEED") or str(random.randrange(1_000_000))

_DRAWN = ("test_lifecycle.py", "test_whatever_comes_is_answered_as_described")
_FAULTS = pytest.StashKey[Faults]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FAULTS] = make_unreliable()
    config.stash[_FAULTS].armed = _never


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not any(name in item.nodeid for name in _DRAWN)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, None]:
    faults = item.config.stash[_FAULTS]
    faults.chance.seed(f"{SEED} {item.nodeid}")
    before = faults.count
    statuses: list[int] = []
    threads: list[BaseException | None] = []

    def note(sender: Any, response: Response, **_: Any) -> None:
        statuses.append(response.status_code)

    threading.excepthook = lambda told: threads.append(told.exc_value)
    with request_finished.connected_to(note):
        faults.armed = _when(item)
        try:
            yield
        except Exception as error:
            if faults.count > before and (503 in statuses or any(map(_is_told, [error, *threads]))):
                pytest.xfail("it was told of a fault")
            raise
        finally:
            faults.armed = _never
            threading.excepthook = threading.__excepthook__
            assert faults.count == before or 500 not in statuses, "a fault was answered as one of the service's own"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    terminalreporter.write_line(f"FAULTS_SEED={SEED}: {config.stash[_FAULTS].count} calls of the database have failed")


def _when(item: pytest.Item) -> Callable[[], bool]:
    return _always if "/store/" in item.nodeid else has_request_context


def _is_told(error: BaseException | None) -> bool:
    return any(isinstance(each, DatabaseUnavailable) or _speaks_of_it(str(each)) for each in _chain(error))


def _speaks_of_it(text: str) -> bool:
    return COMPLAINT in text or "DatabaseUnav" in text  # what pytest shows of a list of errors is cut


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _always() -> bool:
    return True


def _never() -> bool:
    return False
