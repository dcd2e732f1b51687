"""A plugin for pytest: one in a hundred database calls fails while a test runs.

`make faults` runs it, and `FAULTS_SEED` repeats the faults of an earlier run. Many of these tests call the store or the
API directly, and nothing tries again on their behalf. So a test may be interrupted by a fault if the fault was reported
properly: as a DatabaseUnavailable, or as a 503 answer. Every other failure counts as one: a different answer, a wrong
number, something done twice, a hang. In tests that also look into the database beside an API or a worker, only the
API's own calls fail. Hypothesis's tests are left out, because their examples must depend on nothing but what was drawn.
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

_HYPOTHESIS_TESTS = ("test_lifecycle.py", "test_generated_requests_are_answered_as_described")
_FAULTS = pytest.StashKey[Faults]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FAULTS] = make_unreliable()
    config.stash[_FAULTS].armed = _never


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not any(name in item.nodeid for name in _HYPOTHESIS_TESTS)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, None]:
    faults = item.config.stash[_FAULTS]
    faults.chance.seed(f"{SEED} {item.nodeid}")
    count_before = faults.count
    statuses: list[int] = []
    errors_of_threads: list[BaseException | None] = []

    def note_status(sender: Any, response: Response, **_: Any) -> None:
        statuses.append(response.status_code)

    threading.excepthook = lambda arguments: errors_of_threads.append(arguments.exc_value)
    with request_finished.connected_to(note_status):
        faults.armed = _condition_for(item)
        try:
            yield
        except Exception as error:
            is_reported = 503 in statuses or any(map(_reports_a_fault, [error, *errors_of_threads]))
            if faults.count > count_before and is_reported:
                pytest.xfail("a fault was reported to it")
            raise
        finally:
            faults.armed = _never
            threading.excepthook = threading.__excepthook__
            assert faults.count == count_before or 500 not in statuses, "a fault was answered as an internal error"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    terminalreporter.write_line(f"FAULTS_SEED={SEED}: {config.stash[_FAULTS].count} database calls failed")


def _condition_for(item: pytest.Item) -> Callable[[], bool]:
    return _always if "/store/" in item.nodeid else has_request_context


def _reports_a_fault(error: BaseException | None) -> bool:
    return any(isinstance(cause, DatabaseUnavailable) or _mentions_a_fault(str(cause)) for cause in _chain(error))


def _mentions_a_fault(text: str) -> bool:
    return COMPLAINT in text or "DatabaseUnav" in text  # pytest shortens what it shows of a list of errors


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and everything that it was raised from or during."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _always() -> bool:
    return True


def _never() -> bool:
    return False
