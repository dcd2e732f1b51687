"""The API with a storage in a bucket, above all while its server is down."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.api.context import Services
from service.api.job_check import DatasetFinder
from service.db import Database
from service.settings import Settings
from service.storage import checkpoint_key
from service.storage_address import Bucket
from service.store import datasets, leases, recording
from service.store.access import EVERYTHING
from service.store.leases import Lease
from service.sweeping import sweep
from tests.integration.fixture_types import Claim, Submit
from tests.integration.service.npz import npz
from tests.reports import checkpoint_written
from tests.s3 import S3Server


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def settings(database_url: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("service.app.REQUEST_RETRY_TIMEOUT", timedelta(seconds=0.5))
    return Settings(
        database_url=database_url,
        redis_url="redis://127.0.0.1:1/0",
        storage=bucket,
        work_dir=tmp_path / "work",
        max_dataset_bytes=1_000_000,
    )


def upload(http: FlaskClient, name: str) -> Any:
    return http.post(f"/api/v1/datasets?name={name}", data=npz(x=np.arange(5, dtype="int32")))


def test_an_uploaded_data_set_is_stored_in_the_bucket_only(
    http: FlaskClient, services: Services, tmp_path: Path
) -> None:
    answer = upload(http, "numbers")
    assert (answer.status_code, answer.json["arrays"][0]["name"]) == (201, "x")
    assert list(services.storage.old_keys(timedelta(-1))) == [f"datasets/{answer.json['id']}.npz"]
    assert list((tmp_path / "work" / "incoming").iterdir()) == []


def test_an_upload_deletes_what_a_dead_api_had_received(http: FlaskClient, tmp_path: Path) -> None:
    incoming = tmp_path / "work" / "incoming"
    incoming.mkdir(parents=True)
    abandoned, ongoing = incoming / "upload-1", incoming / "upload-2"
    abandoned.touch()
    ongoing.touch()
    os.utime(abandoned, (time.time() - 2 * 86_400,) * 2)
    upload(http, "numbers")
    assert list(incoming.iterdir()) == [ongoing]


def test_a_job_is_checked_without_its_file(http: FlaskClient, services: Services, s3: S3Server) -> None:
    upload(http, "numbers")
    s3.stop()
    info = DatasetFinder(services, EVERYTHING, {})("numbers")
    assert info is not None
    values = info.arrays["x"].values
    assert values is not None
    assert (values.low, values.high) == (0, 4)


def test_the_api_is_not_ready_while_the_server_is_down(http: FlaskClient, s3: S3Server) -> None:
    assert http.get("/readyz").json["parts"]["storage"] == "ok"
    s3.stop()
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["parts"]["storage"].startswith("StorageError: Generic S3 error: Error performing PUT")


@pytest.fixture
def trained(http: FlaskClient, services: Services, database: Database, submit: Submit, claim: Claim) -> Lease:
    """The lease of a job that has a checkpoint."""
    submit()
    lease = claim().lease
    key = checkpoint_key(lease.job_id, lease.attempt, "weights.h5")
    source = services.storage.temporary_folder() / "written"
    source.write_bytes(b"0123456789")
    services.storage.put(key, source)
    with database.write() as session:
        recording.record_checkpoint(session, leases.held_job(session, lease), checkpoint_written(["best"]), key)
    return lease


def test_downloads_and_uploads_are_503_while_the_server_is_down(
    http: FlaskClient, trained: Lease, s3: S3Server, database: Database
) -> None:
    upload(http, "uploaded-before")
    s3.stop()
    download = http.get(f"/api/v1/jobs/{trained.job_id}/weights/best")
    rows = http.get("/api/v1/datasets/uploaded-before/preview?array=x")
    for answer in (download, rows, upload(http, "numbers")):
        assert (answer.status_code, answer.json["code"]) == (503, "storage_unavailable")
        assert "Retry-After" in answer.headers
        assert "127.0.0.1" not in answer.text
    with database.read() as session:
        assert datasets.find(session, "numbers") is None


def test_a_file_that_could_not_be_deleted_is_swept_later(
    http: FlaskClient, services: Services, s3: S3Server, trained: Lease, database: Database
) -> None:
    upload(http, "numbers")
    s3.stop()
    assert http.delete("/api/v1/datasets/numbers").status_code == 204
    s3.start()
    [unreferenced] = [key for key in services.storage.old_keys(timedelta(-1)) if key.startswith("datasets/")]
    assert sweep(database, services.storage) == [], "it is too young"
    assert sweep(database, services.storage, timedelta(hours=-1)) == [unreferenced]
    assert http.get(f"/api/v1/jobs/{trained.job_id}/weights/best").data == b"0123456789"
