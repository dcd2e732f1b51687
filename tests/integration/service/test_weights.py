"""Downloading weights: whole, in ranges, while they are replaced, and when their file is missing."""

import hashlib
import threading
from pathlib import Path
from threading import Event

import pytest
from flask.testing import FlaskClient
from werkzeug.http import parse_options_header

from fitqueue.states import Reason
from fitqueue.views import CheckpointView, Page, Problem
from service.api.context import Services
from service.db import Database
from service.purging import purge
from service.storage import FolderStorage
from service.storage_marking import mark_storage
from service.store import attempt_outcomes
from service.store.leases import Lease
from tests.integration.service.saving import save_checkpoint


def test_weights_can_be_fetched_from_the_first_epoch_on(
    http: FlaskClient, services: Services, lease: Lease, url: str
) -> None:
    early = http.get(f"{url}/weights/best")
    assert (early.status_code, Problem.model_validate_json(early.data).code) == (404, "no_checkpoint_yet")
    content = bytes(range(256)) * 4000
    save_checkpoint(services, lease, content, ("best", "last", "ep001-loss1.000.weights.h5"))
    sha256 = hashlib.sha256(content).hexdigest()
    page = Page[CheckpointView].model_validate_json(http.get(f"{url}/checkpoints").data)
    assert [row.name for row in page.data] == ["best", "last", "ep001-loss1.000.weights.h5"]
    for row in page.data:
        response = http.get(row.href)
        assert (response.status_code, response.data) == (200, content)
        assert response.headers["ETag"] == f'"{sha256}"' == f'"{row.sha256}"'
        assert int(response.headers["Content-Length"]) == len(content) == row.size
        head = http.head(row.href)
        assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(content)))
        for tag in (f'"{sha256}"', f'W/"{sha256}"', "*"):
            assert http.get(row.href, headers={"If-None-Match": tag}).status_code == 304
    dispositions = [http.head(row.href).headers["Content-Disposition"] for row in page.data]
    assert f"{lease.job_id}-best.weights.h5" in dispositions[0]
    assert "ep001-loss1.000.weights.h5" in dispositions[2]
    missing = http.get(f"{url}/checkpoints/none")
    assert (missing.status_code, Problem.model_validate_json(missing.data).code) == (404, "checkpoint_not_found")


NAMES = ["模型-01.keras", "modèle.weights.h5", "ep001-потеря 1,5.keras", "🙂" * 40 + ".keras", "[a] (b)=c.keras"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_any_script_is_served_like_others(
    http: FlaskClient, services: Services, lease: Lease, url: str, name: str
) -> None:
    content = bytes(range(100))
    save_checkpoint(services, lease, content, (name,))
    [row] = Page[CheckpointView].model_validate_json(http.get(f"{url}/checkpoints").data).data
    assert row.name == name
    answers = [
        http.get(row.href),
        http.head(row.href),
        http.get(row.href, headers={"Range": "bytes=10-19"}),
        http.get(row.href, headers={"If-None-Match": f'"{row.sha256}"'}),
    ]
    assert [(answer.status_code, answer.data) for answer in answers] == [
        (200, content),
        (200, b""),
        (206, content[10:20]),
        (304, b""),
    ]
    for answer in answers:
        disposition = answer.headers["Content-Disposition"]
        assert disposition.isascii(), "HTTP headers are Latin-1, and clients disagree about its upper half"
        assert parse_options_header(disposition)[1]["filename"] == name
    missing = http.get(f"{url}/checkpoints/缺失")
    assert (missing.status_code, Problem.model_validate_json(missing.data).code) == (404, "checkpoint_not_found")


# --- Ranges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requested", "status", "first", "stop"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=90-", 206, 90, 100),
        ("bytes=-5", 206, 95, 100),
        ("bytes=50-1000", 206, 50, 100),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=0-1,5-6", 200, 0, 100),
        ("lines=0-9", 200, 0, 100),
        ("bytes=9-1", 200, 0, 100),
        ("nonsense", 200, 0, 100),
        ("bytes=100-", 416, 0, 0),
    ],
)
def test_a_range_is_answered_as_rfc_9110_says(
    http: FlaskClient, services: Services, lease: Lease, url: str, requested: str, status: int, first: int, stop: int
) -> None:
    content = bytes(range(100))
    save_checkpoint(services, lease, content)
    response = http.get(f"{url}/weights/best", headers={"Range": requested})
    assert response.status_code == status
    if status == 416:
        assert response.headers["Content-Range"] == "bytes */100"
        return
    assert response.data == content[first:stop]
    assert response.headers.get("Content-Range") == (f"bytes {first}-{stop - 1}/100" if status == 206 else None)


@pytest.mark.parametrize("requested", ["bytes=0-9", "bytes=100-"])
def test_a_range_is_ignored_by_head(
    http: FlaskClient, services: Services, lease: Lease, url: str, requested: str
) -> None:
    save_checkpoint(services, lease, bytes(100))
    response = http.head(f"{url}/weights/best", headers={"Range": requested})
    assert (response.status_code, response.headers["Content-Length"]) == (200, "100")
    assert "Content-Range" not in response.headers


def test_an_interrupted_download_is_resumed_only_with_the_same_file(
    http: FlaskClient, services: Services, lease: Lease, url: str
) -> None:
    save_checkpoint(services, lease, b"a" * 100)
    tag = http.head(f"{url}/weights/best").headers["ETag"]
    headers = {"Range": "bytes=50-", "If-Range": tag}
    assert http.get(f"{url}/weights/best", headers=headers).status_code == 206
    assert http.get(f"{url}/weights/best", headers={**headers, "If-Range": f"W/{tag}"}).status_code == 200
    save_checkpoint(services, lease, b"b" * 100, epoch=2)
    response = http.get(f"{url}/weights/best", headers=headers)
    assert (response.status_code, response.data) == (200, b"b" * 100)


# --- Files that go ----------------------------------------------------------------------------------------------------


def test_a_download_is_intact_while_better_weights_replace_it(
    http: FlaskClient, services: Services, lease: Lease, url: str
) -> None:
    save_checkpoint(services, lease, b"0" * 300_000)
    is_done = threading.Event()

    def replace_often() -> None:
        for n in range(1, 40):
            save_checkpoint(services, lease, str(n % 10).encode() * 300_000, epoch=n)
        is_done.set()

    writer = threading.Thread(target=replace_often)
    writer.start()
    downloads = 0
    while not is_done.is_set():
        response = http.get(f"{url}/weights/best")
        assert response.status_code == 200
        assert f'"{hashlib.sha256(response.data).hexdigest()}"' == response.headers["ETag"]
        downloads += 1
    writer.join()
    assert downloads > 0


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_is_gone_is_410(
    method: str, http: FlaskClient, services: Services, storage_folder: Path, lease: Lease, url: str
) -> None:
    save_checkpoint(services, lease, b"a")
    for path in storage_folder.rglob("*.h5"):
        path.unlink()
    response = http.open(f"{url}/weights/best", method=method)
    assert response.status_code == 410
    if method == "GET":
        problem = Problem.model_validate_json(response.data)
        assert (problem.code, problem.detail) == (
            "file_gone",
            f"The file of the checkpoint 'best' of {lease.job_id} is gone from the storage.",
        )


def test_a_storage_whose_disk_is_gone_is_503(
    http: FlaskClient, services: Services, storage_folder: Path, lease: Lease, url: str, database: Database
) -> None:
    mark_storage(database, FolderStorage(storage_folder))
    save_checkpoint(services, lease, b"a")
    disk = storage_folder.rename(storage_folder.with_name("disk"))
    storage_folder.mkdir()
    response = http.get(f"{url}/weights/best")
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (503, "storage_unavailable")
    ready = http.get("/readyz")
    assert ready.json is not None
    assert (ready.status_code, ready.json["ready"]) == (503, False)
    assert "its disk is not mounted" in ready.json["parts"]["storage"]
    assert list(storage_folder.iterdir()) == []
    storage_folder.rmdir()
    disk.rename(storage_folder)
    assert http.get(f"{url}/weights/best").data == b"a"
    assert http.get("/readyz").status_code == 200


def test_a_file_that_the_storage_cannot_read_is_503(
    http: FlaskClient, services: Services, storage_folder: Path, lease: Lease, url: str
) -> None:
    save_checkpoint(services, lease, b"a")
    for path in list(storage_folder.rglob("*.h5")):
        path.unlink()
        path.mkdir()
    response = http.get(f"{url}/weights/best")
    assert (response.status_code, Problem.model_validate_json(response.data).code) == (503, "storage_unavailable")
    assert "Retry-After" in response.headers


def test_deleting_a_job_deletes_its_files(
    http: FlaskClient, services: Services, storage_folder: Path, database: Database, lease: Lease, url: str
) -> None:
    save_checkpoint(services, lease, b"a", ("best",))
    save_checkpoint(services, lease, b"b", ("last",), epoch=2)
    with database.write() as session:
        assert attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")
    assert http.delete(url).status_code == 204
    purge(database, services.storage, Event())
    assert list(storage_folder.rglob("*.h5")) == []
