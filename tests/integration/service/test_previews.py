"""Rows of data sets over HTTP, from both kinds of storage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fitqueue.datasets import BUILTIN
from fitqueue.views import DatasetPreview, Problem
from service.api.context import Services
from service.npz import rows
from service.settings import Settings
from service.store import datasets
from tests.integration.service.npz import npz

URL = "/api/v1/datasets"
RANDOM = np.random.default_rng(0)


@pytest.fixture(params=["folder", "bucket"])
def settings(request: pytest.FixtureRequest, database_url: str, storage_folder: Path, tmp_path: Path) -> Settings:
    return Settings(
        database_url=database_url,
        redis_url="redis://127.0.0.1:1/0",
        storage=storage_folder if request.param == "folder" else request.getfixturevalue("bucket"),
        work_dir=tmp_path / "work",
        max_dataset_bytes=10_000_000,
    )


def get(http: FlaskClient, reference: str, array: str = "x", **query: Any) -> TestResponse:
    return http.get(f"{URL}/{reference}/preview", query_string={"array": array, **query})


def preview(http: FlaskClient, reference: str, array: str = "x", **query: Any) -> DatasetPreview:
    answer = get(http, reference, array, **query)
    assert answer.status_code == 200, answer.text
    return DatasetPreview.model_validate_json(answer.data)


def code(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, Problem.model_validate_json(answer.data).code


def upload(http: FlaskClient, body: bytes) -> str:
    answer = http.post(f"{URL}?name=mine", data=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json["id"])


def test_rows_of_an_uploaded_array_are_returned(http: FlaskClient) -> None:
    x = RANDOM.random((500, 3)).astype("float32")
    dataset_id = upload(http, npz(other=np.zeros(9), x=x))
    for reference in ("mine", dataset_id):
        shown = preview(http, reference, first=480)
        assert (shown.name, shown.shape, shown.dtype, shown.first) == ("x", [500, 3], "float32", 480)
        assert (shown.looks_like, shown.truncated) == ("table", False)
        assert np.array_equal(np.array(shown.rows, "float32"), x[480:])
    assert len(preview(http, "mine").rows) == 20, "the default"


def test_a_compressed_array_and_one_without_a_name_have_rows(http: FlaskClient, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "compressed.npz", x=np.arange(100_000))
    compressed = http.post(URL, data=(tmp_path / "compressed.npz").read_bytes()).json["id"]
    assert preview(http, compressed, first=99_998).rows == [99_998, 99_999]
    np.save(tmp_path / "single.npy", np.eye(2))
    single = http.post(URL, data=(tmp_path / "single.npy").read_bytes()).json["id"]
    assert preview(http, single, "arr_0").rows == [[1, 0], [0, 1]]


def test_values_that_json_lacks_are_null_and_named(http: FlaskClient) -> None:
    upload(http, npz(x=np.array([[1, np.nan], [-np.inf, 2]])))
    answer = get(http, "mine")
    assert answer.json["rows"] == [[1, None], [None, 2]]
    assert answer.json["non_finite_values"] == {"NaN": [1], "-Infinity": [2]}


@pytest.mark.parametrize(
    ("shape", "looks_like"),
    [
        ((5,), "scalar"),
        ((5, 1), "scalar"),
        ((5, 7), "table"),
        ((5, 8, 8), "image"),
        ((5, 512, 8, 3), "image"),
        ((5, 9, 9, 1), "image"),
        ((5, 9, 9, 4), "image"),
        ((5, 9, 9, 2), "sequence"),
        ((5, 513, 9), "sequence"),
        ((5, 7, 9, 3), "sequence"),
        ((2, 4, 9, 9, 3), "sequence"),
    ],
)
def test_the_shape_alone_says_what_a_row_looks_like(http: FlaskClient, shape: tuple[int, ...], looks_like: str) -> None:
    upload(http, npz(x=np.zeros(shape, "uint8")))
    assert preview(http, "mine", rows=1).looks_like == looks_like


def test_an_answer_is_bounded_and_says_so(http: FlaskClient) -> None:
    upload(http, npz(x=np.full((100, 10_000), np.pi)))
    answer = get(http, "mine", rows=100)
    assert len(answer.data) < 1024**2
    assert answer.json["truncated"]
    assert len(answer.json["rows"]) == 100


@pytest.mark.parametrize("array", ["x_train", "y_test"])
def test_a_built_in_data_set_that_is_here_has_rows(http: FlaskClient, array: str) -> None:
    path = BUILTIN["digits"].path
    assert path is not None
    shown = preview(http, "digits", array, first=100, rows=50)
    assert np.array_equal(np.array(shown.rows), np.load(path)[array][100:150])
    assert shown.looks_like == ("image" if array == "x_train" else "scalar")


def test_what_is_not_there_is_404(http: FlaskClient) -> None:
    upload(http, npz(x=np.zeros(3), text=np.array(["a"])))
    assert code(get(http, "nothing")) == (404, "dataset_not_found")
    for reference, array in (("mine", "y"), ("mine", "x.npy"), ("mine", "../x"), ("digits", "x"), ("mnist", "x")):
        assert code(get(http, reference, array)) == (404, "array_not_found")
    assert "left out at the upload: its type is text" in get(http, "mine", "text").json["detail"]
    assert "a worker downloads them" in get(http, "mnist", "x_train").json["detail"]


@pytest.mark.parametrize(
    "query",
    [
        {"rows": 0},
        {"rows": 101},
        {"rows": -1},
        {"rows": "all"},
        {"first": -1},
        {"first": 2**40},
        {"first": 10**30},
        {"first": "1e3"},
        {"array": ""},
        {"array": "x" * 1025},
        {"array": "a\0b"},
        {"columns": 5},
    ],
)
def test_parameters_outside_their_bounds_are_422(http: FlaskClient, query: dict[str, Any]) -> None:
    answer = http.get(f"{URL}/digits/preview", query_string={"array": "x_train", **query})
    assert code(answer) == (422, "invalid_request")
    assert [fault["pointer"] for fault in answer.json["errors"]] == list(query)


def test_the_array_must_be_named(http: FlaskClient, stranger: FlaskClient) -> None:
    assert code(http.get(f"{URL}/digits/preview")) == (422, "invalid_request")
    assert code(get(stranger, "digits", "x_train")) == (401, "unauthenticated")


def test_rows_too_far_into_a_compressed_array_are_422(
    http: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAX_PASSED", 1_000)
    np.savez_compressed(tmp_path / "x.npz", x=np.arange(1_000))
    upload(http, (tmp_path / "x.npz").read_bytes())
    assert preview(http, "mine", first=120).rows[0] == 120
    answer = get(http, "mine", first=800)
    assert code(answer) == (422, "invalid_request")
    assert [(fault["pointer"], fault["code"]) for fault in answer.json["errors"]] == [("first", "too_far")]


def _replace(services: Services, content: bytes | None) -> None:
    """Replace the stored file of the data set, or delete it."""
    with services.database.read() as session:
        key = datasets.get(session, "mine").storage_key
    services.storage.delete(key)
    if content is not None:
        source = services.storage.temporary_folder() / "written"
        source.write_bytes(content)
        services.storage.put(key, source)


def test_a_file_that_somebody_deleted_is_410(http: FlaskClient, services: Services) -> None:
    upload(http, npz(x=np.zeros(3)))
    _replace(services, None)
    assert code(get(http, "mine")) == (410, "file_gone")


def test_a_file_that_somebody_changed_is_never_trusted(http: FlaskClient, services: Services) -> None:
    content = npz(x=np.arange(3))
    upload(http, content)
    for other in (b"x" * len(content), content[:-30], npz(x=np.array([{}], object)), npz(y=np.arange(3))):
        _replace(services, other)
        answer = get(http, "mine")
        assert code(answer) in {(422, "invalid_dataset"), (404, "array_not_found")}


def test_weights_have_rows_too(http: FlaskClient, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.eye(3, dtype="float32")
    answer = http.post(f"{URL}?name=mine", data=(tmp_path / "model.weights.h5").read_bytes())
    assert answer.status_code == 201, answer.text
    [array] = answer.json["arrays"]
    assert preview(http, "mine", array["name"]).rows == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
