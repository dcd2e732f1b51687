import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from fitqueue.errors import DatabaseUnavailable
from fitqueue.views import DatasetView, JobView, Page, Problem
from service.api.context import Services
from service.db import Database
from service.store.leases import ClaimedJob

URL = "/api/v1/datasets"


def _npz(seed: int = 0, **arrays: Any) -> bytes:
    file = io.BytesIO()
    rng = np.random.default_rng(seed)
    named = arrays or {"x": rng.random((20, 8, 8)).astype("float32"), "y": rng.integers(0, 10, 20)}
    np.savez(file, **named)
    return file.getvalue()


def _files(services: Services) -> list[Path]:
    return [path for path in Path(services.settings.store).rglob("*") if path.is_file()]


def test_an_upload_is_stored_and_described(http: FlaskClient, services: Services) -> None:
    body = _npz()
    response = http.post(f"{URL}?name=mine", data=body, content_type="application/octet-stream")
    assert response.status_code == 201, response.text
    dataset = DatasetView.model_validate_json(response.data)
    assert response.headers["Location"] == f"{URL}/{dataset.id}"
    assert (dataset.name, dataset.builtin, dataset.size) == ("mine", False, len(body))
    assert dataset.sha256 == hashlib.sha256(body).hexdigest()
    assert [(a.name, a.shape, a.dtype) for a in dataset.arrays] == [
        ("x", [20, 8, 8], "float32"),
        ("y", [20], "int64"),
    ]
    [stored] = _files(services)
    assert stored.read_bytes() == body
    for reference in ("mine", dataset.id):
        assert DatasetView.model_validate_json(http.get(f"{URL}/{reference}").data) == dataset


def test_the_same_content_twice_is_one_data_set(http: FlaskClient, services: Services) -> None:
    body = _npz()
    first = http.post(f"{URL}?name=mine", data=body)
    second = http.post(f"{URL}?name=again", data=body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json == second.json
    other = http.post(f"{URL}?name=mine", data=_npz(seed=1))
    assert (other.status_code, Problem.model_validate_json(other.data).code) == (409, "name_taken")
    assert len(_files(services)) == 1, "what was refused leaves no file"


def test_without_a_name_the_id_is_the_name(http: FlaskClient) -> None:
    dataset = DatasetView.model_validate_json(http.post(URL, data=_npz()).data)
    assert dataset.name == dataset.id


@pytest.mark.parametrize("name", ["a/b", "..", "", "ds_mine", "x" * 129, "a b"])
def test_names_are_bounded(http: FlaskClient, services: Services, name: str) -> None:
    response = http.post(URL, query_string={"name": name}, data=_npz())
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (422, "invalid_request")
    assert _files(services) == []


def test_a_built_in_name_is_taken(http: FlaskClient, services: Services) -> None:
    response = http.post(f"{URL}?name=mnist", data=_npz())
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (409, "name_taken")
    assert _files(services) == []


def test_what_is_no_npz_is_refused(http: FlaskClient, services: Services) -> None:
    for body in (b"", b"not a zip", _npz(bad=np.array([{}], dtype=object))):
        response = http.post(URL, data=body)
        assert (response.status_code, Problem.model_validate_json(response.data).code) == (422, "invalid_dataset")
    form = http.post(URL, data={"file": (io.BytesIO(_npz()), "x.npz")}, content_type="multipart/form-data")
    assert (form.status_code, Problem.model_validate_json(form.data).code) == (415, "unsupported_media_type")
    assert _files(services) == []


def test_too_large_is_413(http: FlaskClient, services: Services) -> None:
    for body in (b"x" * 1_000_001, io.BytesIO(b"x" * 1_000_001)):
        response = http.post(URL, data=body)
        assert (response.status_code, Problem.model_validate_json(response.data).code) == (413, "body_too_large")
    assert _files(services) == []


def test_more_than_an_ordinary_body_may_come(http: FlaskClient, services: Services) -> None:
    body = _npz(x=np.zeros(100_000, "uint8"))
    assert len(body) > services.settings.max_body_bytes
    assert http.post(URL, data=body).status_code == 201


def test_the_built_in_ones_come_first(http: FlaskClient) -> None:
    for n in range(3):
        http.post(f"{URL}?name=set{n}", data=_npz(seed=n))
    page = Page[DatasetView].model_validate_json(http.get(f"{URL}?limit=2").data)
    uploaded = [dataset.name for dataset in page.data if not dataset.builtin]
    assert {"digits", "mnist"} <= {dataset.name for dataset in page.data if dataset.builtin}
    page = Page[DatasetView].model_validate_json(http.get(f"{URL}?limit=2&cursor={page.next_cursor}").data)
    assert [*uploaded, *(dataset.name for dataset in page.data)] == ["set2", "set1", "set0"]
    digits = DatasetView.model_validate_json(http.get(f"{URL}/digits").data)
    assert digits.builtin
    assert digits.source is not None


def test_a_job_uses_an_upload_by_name_and_keeps_it(
    http: FlaskClient, services: Services, raw_spec: dict[str, Any], take: Callable[[], ClaimedJob]
) -> None:
    http.post(f"{URL}?name=mine", data=_npz())
    raw_spec["data"] = {"dataset": "mine", "x": "x", "y": "y"}
    response = http.post("/api/v1/jobs", json=raw_spec)
    assert response.status_code == 201, response.text
    job = JobView.model_validate_json(response.data)
    refused = http.delete(f"{URL}/mine")
    assert (refused.status_code, Problem.model_validate_json(refused.data).code) == (409, "dataset_in_use")
    claimed = take()
    assert claimed.dataset_key is not None
    assert services.store.local_path(claimed.dataset_key).exists()
    with services.database.write() as session:
        from fitqueue.states import Reason
        from service.store import leases

        leases.finish(session, claimed.lease, Reason.COMPLETED, "done")
    assert http.delete(f"{URL}/mine").status_code == 204
    assert _files(services) == []
    assert http.get(f"/api/v1/jobs/{job.id}").status_code == 200
    builtin = http.delete(f"{URL}/digits")
    assert (builtin.status_code, Problem.model_validate_json(builtin.data).code) == (409, "conflict")


def test_a_commit_whose_answer_was_lost_keeps_its_file(
    http: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Database.write

    @contextmanager
    def losing_the_answer(database: Database) -> Iterator[Session]:
        with write(database) as session:
            yield session
        raise DatabaseUnavailable

    content = _npz()
    with monkeypatch.context() as outage:
        outage.setattr(Database, "write", losing_the_answer)
        assert http.post(URL, data=content).status_code == 503
    again = http.post(URL, data=content)
    assert again.status_code == 200
    assert [file.stem for file in _files(services)] == [DatasetView.model_validate_json(again.data).id]
