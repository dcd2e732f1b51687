"""Upload, list and delete data sets over HTTP."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseUnavailable
from fitqueue.states import Reason
from fitqueue.views import DatasetView, JobView, Page, Problem
from service.api.context import Services
from service.db import Database
from service.store import attempt_outcomes, tokens
from tests.integration.fixture_types import Claim
from tests.integration.service.npz import npz

URL = "/api/v1/datasets"


def _random_npz(seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    return npz(x=rng.random((20, 8, 8)).astype("float32"), y=rng.integers(0, 10, 20))


def _stored_files(storage_folder: Path) -> list[Path]:
    return [path for path in storage_folder.rglob("*") if path.is_file()]


def test_an_upload_is_stored_and_described(http: FlaskClient, storage_folder: Path) -> None:
    body = _random_npz()
    response = http.post(f"{URL}?name=mine", data=body, content_type="application/octet-stream")
    assert response.status_code == 201, response.text
    dataset = DatasetView.model_validate_json(response.data)
    assert response.headers["Location"] == f"{URL}/{dataset.id}"
    assert (dataset.name, dataset.builtin, dataset.size) == ("mine", False, len(body))
    assert dataset.sha256 == hashlib.sha256(body).hexdigest()
    assert [(array.name, array.shape, array.dtype) for array in dataset.arrays] == [
        ("x", [20, 8, 8], "float32"),
        ("y", [20], "int64"),
    ]
    [stored] = _stored_files(storage_folder)
    assert stored.read_bytes() == body
    for reference in ("mine", dataset.id):
        assert DatasetView.model_validate_json(http.get(f"{URL}/{reference}").data) == dataset


@pytest.mark.parametrize("broken", ["", "incoming", "datasets"])
def test_an_upload_that_the_storage_cannot_keep_is_503(
    http: FlaskClient, database: Database, storage_folder: Path, broken: str
) -> None:
    path = storage_folder / broken
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        path.rmdir()
    path.write_text("A file is where the folder would have to be created.")
    response = http.post(f"{URL}?name=mine", data=_random_npz())
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (503, "storage_unavailable")
    assert http.get(f"{URL}/mine").status_code == 404


def test_the_same_content_under_two_names_is_two_data_sets(http: FlaskClient, storage_folder: Path) -> None:
    body = _random_npz()
    first, second, again = (http.post(f"{URL}?name={name}", data=body) for name in ("mine", "theirs", "mine"))
    assert (first.status_code, second.status_code, again.status_code) == (201, 201, 200)
    assert first.json == again.json
    assert http.post(URL, data=body).json == first.json, "without a name, any data set with this content will do"
    other = http.post(f"{URL}?name=mine", data=_random_npz(seed=1))
    assert (other.status_code, Problem.model_validate_json(other.data).code) == (409, "name_taken")
    assert len(_stored_files(storage_folder)) == 2, "a refused upload leaves no file"
    assert http.delete(f"{URL}/mine").status_code == 204
    [stored] = _stored_files(storage_folder)
    assert stored.read_bytes() == body
    assert http.get(f"{URL}/mine").status_code == 404
    assert http.get(f"{URL}/theirs").json == second.json


def test_what_nobody_can_train_on_is_left_out_and_named(http: FlaskClient) -> None:
    body = npz(
        **{"0": np.asfortranarray(np.ones((3, 2), ">f4")), "text": np.array(["a"]), "any": np.array([{}], object)}
    )
    response = http.post(f"{URL}?name=mine", data=body)
    assert response.status_code == 201, response.text
    dataset = DatasetView.model_validate_json(response.data)
    assert [(array.name, array.shape, array.dtype) for array in dataset.arrays] == [("0", [3, 2], "float32")]
    assert {left_out.name: left_out.reason for left_out in dataset.left_out} == {
        "text": "its type is text, and Keras trains on plain numbers",
        "any": "its type is Python objects, and Keras trains on plain numbers",
    }
    assert DatasetView.model_validate_json(http.get(f"{URL}/mine").data) == dataset


def test_a_single_npy_is_accepted(http: FlaskClient) -> None:
    file = io.BytesIO()
    np.save(file, np.eye(3, dtype="float32"))
    response = http.post(URL, data=file.getvalue())
    assert response.status_code == 201, response.text
    assert [(array["name"], array["shape"]) for array in response.json["arrays"]] == [("arr_0", [3, 3])]


def test_values_are_described(http: FlaskClient) -> None:
    x = np.array([[0.5, np.nan], [-2, np.inf], [1, -np.inf]], "float32")
    dataset = DatasetView.model_validate_json(http.post(URL, data=npz(x=x, y=np.array([3, 1, 3]))).data)
    described = [
        (array.minimum, array.maximum, array.nan_count, array.infinite_count, array.class_count)
        for array in dataset.arrays
    ]
    assert described == [(-2, 1, 1, 2, None), (1, 3, 0, 0, 2)]


def test_the_default_name_is_the_id(http: FlaskClient) -> None:
    dataset = DatasetView.model_validate_json(http.post(URL, data=_random_npz()).data)
    assert dataset.name == dataset.id


@pytest.mark.parametrize("name", ["a/b", "..", "", "ds_mine", "x" * 129, "a b"])
def test_an_invalid_name_is_422(http: FlaskClient, storage_folder: Path, name: str) -> None:
    response = http.post(URL, query_string={"name": name}, data=_random_npz())
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (422, "invalid_request")
    assert _stored_files(storage_folder) == []


def test_the_name_of_a_built_in_data_set_is_409(http: FlaskClient, storage_folder: Path) -> None:
    response = http.post(f"{URL}?name=mnist", data=_random_npz())
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (409, "name_taken")
    assert _stored_files(storage_folder) == []


def test_a_body_that_is_not_an_npz_is_refused(http: FlaskClient, storage_folder: Path) -> None:
    for body in (b"", b"not a zip", npz(bad=np.array([{}], dtype=object))):
        response = http.post(URL, data=body)
        assert (response.status_code, Problem.model_validate_json(response.data).code) == (422, "invalid_dataset")
    form = http.post(URL, data={"file": (io.BytesIO(_random_npz()), "x.npz")}, content_type="multipart/form-data")
    assert (form.status_code, Problem.model_validate_json(form.data).code) == (415, "unsupported_media_type")
    assert _stored_files(storage_folder) == []


def test_a_body_that_is_too_large_is_413(http: FlaskClient, storage_folder: Path) -> None:
    for body in (b"x" * 1_000_001, io.BytesIO(b"x" * 1_000_001)):
        response = http.post(URL, data=body)
        assert (response.status_code, Problem.model_validate_json(response.data).code) == (413, "body_too_large")
    assert _stored_files(storage_folder) == []


def test_a_data_set_may_be_larger_than_other_bodies(http: FlaskClient, services: Services) -> None:
    body = npz(x=np.zeros(100_000, "uint8"))
    assert len(body) > services.settings.max_body_bytes
    assert http.post(URL, data=body).status_code == 201


def test_built_in_data_sets_are_listed_first(http: FlaskClient) -> None:
    for n in range(3):
        http.post(f"{URL}?name=set{n}", data=_random_npz(seed=n))
    page = Page[DatasetView].model_validate_json(http.get(f"{URL}?limit=2").data)
    uploaded = [dataset.name for dataset in page.data if not dataset.builtin]
    assert {"digits", "mnist"} <= {dataset.name for dataset in page.data if dataset.builtin}
    page = Page[DatasetView].model_validate_json(http.get(f"{URL}?limit=2&cursor={page.next_cursor}").data)
    assert [*uploaded, *(dataset.name for dataset in page.data)] == ["set2", "set1", "set0"]
    digits = DatasetView.model_validate_json(http.get(f"{URL}/digits").data)
    assert digits.builtin
    assert digits.source is not None


def test_a_data_set_says_who_uploaded_it_first(app: Flask, http: FlaskClient, database: Database) -> None:
    with database.write() as session:
        ada = app.test_client()
        ada.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {tokens.create(session, 'ada')}"
    for client, name, expected in ((ada, "one", "ada"), (http, "one", "ada"), (http, "two", "tests")):
        uploaded = DatasetView.model_validate_json(client.post(f"{URL}?name={name}", data=_random_npz()).data)
        assert uploaded.submitted_by == expected
    assert DatasetView.model_validate_json(http.get(f"{URL}/one").data).submitted_by == "ada"

    def listed(query: str) -> dict[str, str | None]:
        page = Page[DatasetView].model_validate_json(http.get(f"{URL}?{query}").data)
        return {dataset.name: dataset.submitted_by for dataset in page.data}

    assert listed("submitted_by=ada") == {"one": "ada"}
    assert listed("submitted_by=tests") == {"two": "tests"}
    assert listed("submitted_by=nobody") == {}
    assert listed("").items() >= {"digits": None, "one": "ada", "two": "tests"}.items()


def test_a_job_uses_an_uploaded_data_set_and_keeps_it_until_it_ends(
    http: FlaskClient, services: Services, storage_folder: Path, raw_spec: dict[str, Any], claim: Claim
) -> None:
    http.post(f"{URL}?name=mine", data=_random_npz())
    raw_spec["data"] = {"dataset": "mine", "x": "x", "y": "y"}
    response = http.post("/api/v1/jobs", json=raw_spec)
    assert response.status_code == 201, response.text
    job = JobView.model_validate_json(response.data)
    refused = http.delete(f"{URL}/mine")
    assert (refused.status_code, Problem.model_validate_json(refused.data).code) == (409, "dataset_in_use")
    claimed = claim()
    assert claimed.dataset_key is not None
    path = services.storage.local_path(claimed.dataset_key)
    assert path is not None
    assert path.exists()
    with services.database.write() as session:
        attempt_outcomes.finish(session, claimed.lease, Reason.COMPLETED, "The training ended.")
    assert http.delete(f"{URL}/mine").status_code == 204
    assert _stored_files(storage_folder) == []
    assert http.get(f"/api/v1/jobs/{job.id}").status_code == 200
    builtin = http.delete(f"{URL}/digits")
    assert (builtin.status_code, Problem.model_validate_json(builtin.data).code) == (409, "conflict")


def test_the_file_is_kept_if_the_answer_to_the_commit_was_lost(
    http: FlaskClient, storage_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Database.write

    @contextmanager
    def write_and_lose_the_answer(database: Database) -> Iterator[Session]:
        with write(database) as session:
            yield session
        raise DatabaseUnavailable

    content = _random_npz()
    with monkeypatch.context() as outage:
        outage.setattr(Database, "write", write_and_lose_the_answer)
        assert http.post(URL, data=content).status_code == 503
    again = http.post(URL, data=content)
    assert again.status_code == 200
    stored_ids = [file.stem for file in _stored_files(storage_folder)]
    assert stored_ids == [DatasetView.model_validate_json(again.data).id]
