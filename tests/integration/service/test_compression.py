"""Large answers are compressed for clients that accept it, and are the same otherwise."""

import gzip

from flask.testing import FlaskClient

from fitqueue.states import Reason
from service.db import Database
from service.store import attempt_outcomes, leases, recording
from service.store.leases import Lease
from tests.reports import epoch_ended

GZIP = {"Accept-Encoding": "gzip, deflate, br"}


def test_a_large_answer_is_compressed(http: FlaskClient, database: Database, lease: Lease, url: str) -> None:
    with database.write() as session:
        job = leases.held_job(session, lease)
        for epoch in range(1, 201):
            recording.record_epoch(session, job, epoch_ended(epoch, {"loss": 1 / epoch, "val_loss": 2 / epoch}))
        # The time that is left of a running one would differ between two answers.
        assert attempt_outcomes.finish(session, lease, Reason.COMPLETED, "All epochs were trained.")
    for path in (f"{url}/metrics", f"{url}/news", url.removeprefix("/api/v1")):
        plain, compressed = http.get(path), http.get(path, headers=GZIP)
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert int(compressed.headers["Content-Length"]) == len(compressed.data) < len(plain.data) / 3
        assert gzip.decompress(compressed.data) == plain.data
        assert "Accept-Encoding" in plain.headers["Vary"]
        assert "Content-Encoding" not in plain.headers
    tag = http.get(f"{url}/news", headers=GZIP).headers["ETag"]
    assert tag.startswith("W/")
    assert http.get(f"{url}/news", headers={**GZIP, "If-None-Match": tag}).status_code == 304


def test_small_answers_and_refusals_of_gzip_are_left_as_they_are(http: FlaskClient, url: str) -> None:
    assert "Content-Encoding" not in http.get(url, headers=GZIP).headers
    page = url.removeprefix("/api/v1")
    assert "Content-Encoding" not in http.get(page, headers={"Accept-Encoding": "gzip;q=0"}).headers
    assert "Content-Encoding" not in http.head(page, headers=GZIP).headers


def test_documents_that_never_change_are_compressed_too(http: FlaskClient) -> None:
    for path in ("/api/v1/catalogue", "/api/v1/job.schema.json"):
        plain, compressed = http.get(path), http.get(path, headers=GZIP)
        assert gzip.decompress(compressed.data) == plain.data
        assert "Accept-Encoding" in plain.headers["Vary"]
        assert "Accept-Encoding" in compressed.headers["Vary"]
        for answer in (plain, compressed):
            conditional = {**GZIP, "If-None-Match": answer.headers["ETag"]}
            assert http.get(path, headers=conditional).status_code == 304
        assert http.get(path, headers=GZIP).data == compressed.data
