import json
import logging
import threading

from service import logs


def _format(message: str, **extra: object) -> dict[str, object]:
    """Return a log record as it is written, parsed."""
    record = logging.getLogger("t").makeRecord("t", logging.INFO, "f", 1, message, (), None, extra=extra)
    line = logs.JSONFormatter().format(record)
    assert "\n" not in line
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_a_log_line_is_json_with_the_bound_fields() -> None:
    with logs.bound(job="job_1"):
        with logs.bound(attempt=2):
            line = _format("two\nlines", worker="w1")
        assert "attempt" not in _format("x")
    assert (line["message"], line["job"], line["attempt"], line["worker"]) == ("two\nlines", "job_1", 2, "w1")
    assert "job" not in _format("x")


def test_bound_fields_do_not_reach_other_threads() -> None:
    lines: list[dict[str, object]] = []
    with logs.bound(job="job_1"):
        thread = threading.Thread(target=lambda: lines.append(_format("x")))
        thread.start()
        thread.join()
    assert "job" not in lines[0]
