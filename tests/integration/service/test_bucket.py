"""The API where files lie in a bucket, above all where its server is gone."""

import io
import os
import time
from collections.abc import Callable
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
from service.store import datasets, recording
from service.store.leases import ClaimedJob, Lease
from service.store.recording import CheckpointRecord
from service.sweeping import sweep
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
        store=bucket,
        work_dir=tmp_path / "work",
        max_dataset_bytes=1_000_000,
    )


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def upload(http: FlaskClient, name: str) -> Any:
    return http.post(f"/api/v1/datasets?name={name}", data=npz(x=np.arange(5, dtype="int32")))


def test_a_data_set_goes_into_the_bucket_and_nothing_stays_behind(
    http: FlaskClient, services: Services, tmp_path: Path
) -> None:
    answer = upload(http, "numbers")
    assert (answer.status_code, answer.json["arrays"][0]["name"]) == (201, "x")
    assert list(services.store.old_keys(timedelta(-1))) == [f"datasets/{answer.json['id']}.npz"]
    assert list((tmp_path / "work" / "incoming").iterdir()) == []


def test_what_an_api_that_died_had_received_goes(http: FlaskClient, tmp_path: Path) -> None:
    incoming = tmp_path / "work" / "incoming"
    incoming.mkdir(parents=True)
    left, young = incoming / "upload-1", incoming / "upload-2"
    left.touch()
    young.touch()
    os.utime(left, (time.time() - 2 * 86_400,) * 2)
    upload(http, "numbers")
    assert list(incoming.iterdir()) == [young]


def test_the_values_of_a_small_data_set_are_checked_here(
    http: FlaskClient, services: Services, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(http, "numbers")
    finder = DatasetFinder(services)
    assert finder("numbers") is not None
    path = finder.path("numbers")
    assert path is not None
    assert np.load(path)["x"].tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setattr("service.api.job_check._FETCHED_BYTES", 10)
    assert finder.path("numbers") is None


def test_a_check_without_the_file_is_a_check_all_the_same(http: FlaskClient, services: Services, s3: S3Server) -> None:
    upload(http, "numbers")
    s3.stop()
    finder = DatasetFinder(services)
    assert finder("numbers") is not None
    assert finder.path("numbers") is None


def test_readiness(http: FlaskClient, s3: S3Server) -> None:
    assert http.get("/readyz").json["parts"]["store"] == "ok"
    s3.stop()
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["parts"]["store"].startswith("StoreFailed: Generic S3 error: Error performing PUT")


@pytest.fixture
def trained(
    http: FlaskClient, services: Services, database: Database, submit: Callable[..., str],
    take: Callable[[], ClaimedJob],
) -> Lease:  # fmt: skip
    """A job with a checkpoint."""
    submit()
    lease = take().lease
    key = checkpoint_key(lease, "weights.h5")
    source = services.store.temporary_folder() / "written"
    source.write_bytes(b"0123456789")
    services.store.put(key, source)
    with database.write() as session:
        row = CheckpointRecord(["best"], key, "weights.h5", 1, None, {}, None, None, 10, "0" * 64)
        recording.record_checkpoint(session, lease, row)
    return lease


def test_while_the_server_is_gone_nothing_is_given_or_taken_and_the_answer_says_so(
    http: FlaskClient, trained: Lease, s3: S3Server, database: Database
) -> None:
    s3.stop()
    for answer in (http.get(f"/api/v1/jobs/{trained.job_id}/weights/best"), upload(http, "numbers")):
        assert (answer.status_code, answer.json["code"]) == (503, "storage_unavailable")
        assert "Retry-After" in answer.headers
        assert "127.0.0.1" not in answer.text
    with database.read() as session:
        assert datasets.find(session, "numbers") is None


def test_what_is_deleted_meanwhile_is_swept_afterwards(
    http: FlaskClient, services: Services, s3: S3Server, trained: Lease, database: Database
) -> None:
    upload(http, "numbers")
    s3.stop()
    assert http.delete("/api/v1/datasets/numbers").status_code == 204
    s3.start()
    [unreferenced] = [key for key in services.store.old_keys(timedelta(-1)) if key.startswith("datasets/")]
    assert sweep(database, services.store) == [], "it is young"
    assert sweep(database, services.store, timedelta(hours=-1)) == [unreferenced]
    assert http.get(f"/api/v1/jobs/{trained.job_id}/weights/best").data == b"0123456789"
