"""Wrong jobs, each with the place, the code and a word that its answer must hold. None of them is taken.

`table.json` changes one of the sound jobs in `valid.json`: a pointer and the value that is put there, `__delete__` for
taking it away; a last `-` appends, as in JSON Patch.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

HERE = Path(__file__).parent
TABLE: list[dict[str, Any]] = json.loads((HERE / "table.json").read_text())
SOUND: dict[str, Any] = json.loads((HERE / "valid.json").read_text())


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case["what"].replace(" ", "-"))
def test_the_answer_names_place_and_reason(case: dict[str, Any], api: FlaskClient) -> None:
    job = case["changes"] if case["base"] is None else changed(SOUND[case["base"]], case["changes"])
    answer = api.post("/api/v1/jobs", json=job)
    assert answer.status_code == 422, answer.json
    found = [
        fault for fault in answer.json["errors"] if (fault["pointer"], fault["code"]) == (case["at"], case["code"])
    ]
    assert found, answer.json["errors"]
    assert any(case["word"] in json.dumps(fault, ensure_ascii=False) for fault in found), found


def test_none_was_taken(api: FlaskClient) -> None:
    assert api.get("/api/v1/jobs").json["data"] == []


@pytest.mark.parametrize("name", SOUND)
def test_the_jobs_they_are_made_from_are_sound(name: str, api: FlaskClient) -> None:
    answer = api.post("/api/v1/jobs?dry_run=true", json=SOUND[name])
    assert answer.status_code == 200, answer.json
    assert answer.json["model"]["parameters"] > 0
    assert not {"unchecked", "suspicious"} & {notice["code"] for notice in answer.json["notices"]}


def test_there_are_many() -> None:
    assert len({case["what"] for case in TABLE}) == len(TABLE) >= 120


def changed(sound: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    job = copy.deepcopy(sound)
    for pointer, value in changes.items():
        *way, last = pointer.split("/")[1:]
        at: Any = job
        for token in way:
            at = at[int(token)] if isinstance(at, list) else at.setdefault(token, {})
        key: Any = int(last) if isinstance(at, list) and last != "-" else last
        if value == "__delete__":
            del at[key]
        elif isinstance(at, list) and last == "-":
            at.append(value)
        else:
            at[key] = value
    return job
