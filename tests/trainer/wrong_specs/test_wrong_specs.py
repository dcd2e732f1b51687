"""Invalid jobs, each with the pointer and code of a fault and a word of its message. None of them is accepted.

Each case in `table.json` changes one of the valid jobs in `valid.json`. A change is a pointer and the value to set
there; `__delete__` removes the value, and a `-` at the end of the pointer appends, as in JSON Patch.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

HERE = Path(__file__).parent
TABLE: list[dict[str, Any]] = json.loads((HERE / "table.json").read_text())
VALID: dict[str, Any] = json.loads((HERE / "valid.json").read_text())


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case["what"].replace(" ", "-"))
def test_the_response_has_pointer_code_and_message(case: dict[str, Any], api: FlaskClient) -> None:
    job = case["changes"] if case["base"] is None else changed(VALID[case["base"]], case["changes"])
    response = api.post("/api/v1/jobs", json=job)
    assert response.status_code == 422, response.json
    expected = (case["pointer"], case["code"])
    faults = [fault for fault in response.json["errors"] if (fault["pointer"], fault["code"]) == expected]
    assert faults, response.json["errors"]
    assert any(case["word"] in json.dumps(fault, ensure_ascii=False) for fault in faults), faults


@pytest.fixture(scope="module", autouse=True)
def no_job_is_created(api: FlaskClient) -> Iterator[None]:
    newest_before = newest_job(api)
    yield
    assert newest_job(api) == newest_before


def newest_job(api: FlaskClient) -> dict[str, Any] | None:
    return next(iter(api.get("/api/v1/jobs?limit=1").json["data"]), None)


@pytest.mark.parametrize("name", VALID)
def test_the_jobs_that_are_changed_are_valid(name: str, api: FlaskClient) -> None:
    response = api.post("/api/v1/jobs?dry_run=true", json=VALID[name])
    assert response.status_code == 200, response.json
    assert response.json["model"]["parameters"] > 0
    assert not {"unchecked", "suspicious"} & {notice["code"] for notice in response.json["notices"]}


def test_the_table_has_many_different_cases() -> None:
    assert len({case["what"] for case in TABLE}) == len(TABLE) >= 120


def changed(job: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the job with these changes."""
    job = copy.deepcopy(job)
    for pointer, value in changes.items():
        *tokens, last = pointer.split("/")[1:]
        container: Any = job
        for token in tokens:
            container = container[int(token)] if isinstance(container, list) else container.setdefault(token, {})
        key: Any = int(last) if isinstance(container, list) and last != "-" else last
        if value == "__delete__":
            del container[key]
        elif isinstance(container, list) and last == "-":
            container.append(value)
        else:
            container[key] = value
    return job
