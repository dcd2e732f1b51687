"""Ids, settings, logs and the bell."""

import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import ValidationError

from service import logs
from service.ids import ID_PATTERN, new_id
from service.queue import Notifier
from service.settings import Settings


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id("job") for _ in range(10_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("job" + ID_PATTERN, each) for each in ids)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().pools == ("default",)
    monkeypatch.setenv("FITQUEUE_POOLS", "default, large,")
    monkeypatch.setenv("FITQUEUE_SLOTS", "2")
    assert (Settings().pools, Settings().slots) == (("default", "large"), 2)
    monkeypatch.setenv("FITQUEUE_SLOTS", "many")
    with pytest.raises(ValidationError, match="slots"):
        Settings()


def test_every_setting_explains_itself() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def _formatted(message: str, **extra: object) -> dict[str, object]:
    record = logging.getLogger("t").makeRecord("t", logging.INFO, "f", 1, message, (), None, extra=extra)
    line = logs.JSONFormatter().format(record)
    assert "\n" not in line
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_a_log_line_is_json_with_what_is_bound() -> None:
    with logs.bound(job="job_1"):
        with logs.bound(attempt=2):
            line = _formatted("two\nlines", worker="w1")
        assert "attempt" not in _formatted("x")
    assert (line["message"], line["job"], line["attempt"], line["worker"]) == ("two\nlines", "job_1", 2, "w1")
    assert "job" not in _formatted("x")


def test_what_is_bound_stays_in_its_thread() -> None:
    found: list[dict[str, object]] = []
    with logs.bound(job="job_1"):
        other = threading.Thread(target=lambda: found.append(_formatted("x")))
        other.start()
        other.join()
    assert "job" not in found[0]


@contextmanager
def _frozen_redis() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_a_frozen_redis_costs_a_second_once() -> None:
    with _frozen_redis() as url:
        notifier = Notifier(url)
        began = time.monotonic()
        assert not notifier.notify("default")
        first = time.monotonic() - began
        began = time.monotonic()
        assert not any(notifier.notify("default") for _ in range(100))
        assert first < 5
        assert time.monotonic() - began < first
        assert notifier.check() is not None


def test_a_dead_redis_is_told() -> None:
    notifier = Notifier("redis://127.0.0.1:1/0")
    assert not notifier.notify("default")
    assert "refused" in (notifier.check() or "")


def test_the_bell_rings_in_the_pools_queue(redis_url: str) -> None:
    import redis

    notifier = Notifier(redis_url)
    assert notifier.check() is None
    assert notifier.notify("large")
    [message] = redis.Redis.from_url(redis_url).lrange("fitqueue.large", 0, -1)
    assert json.loads(message)["headers"]["task"] == "fitqueue.work"


def test_the_api_loads_no_more_than_it_needs() -> None:
    program = (
        "import sys; import service.app; "
        "print([m for m in ('tensorflow', 'keras', 'numpy', 'alembic', 'httpx', 'rich') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
