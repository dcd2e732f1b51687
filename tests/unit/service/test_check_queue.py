"""Who may have a model checked."""

from contextlib import ExitStack

import pytest

from service.check_queue import CheckQueue


def test_a_token_has_its_share_and_all_have_theirs() -> None:
    queue = CheckQueue(limit=3, limit_per_user=2)
    with ExitStack() as waiting:
        admitted = [waiting.enter_context(queue.admitted(token)) for token in "aaabbc"]

        assert admitted == [True, True, False, True, False, False]
    with queue.admitted("c") as is_admitted:
        assert is_admitted


def test_a_check_that_fails_leaves_the_queue() -> None:
    queue = CheckQueue(limit=1)
    with pytest.raises(ZeroDivisionError), queue.admitted("a"):
        raise ZeroDivisionError

    with queue.admitted("a") as is_admitted:
        assert is_admitted
