"""What pages answer that cannot be shown, and the parts of a job's page that are fetched alone."""

import pytest
from flask.testing import FlaskClient

from service.db import Database
from service.store import leases, recording
from service.store.leases import Lease
from tests.reports import epoch_ended, printed

PAGE = {"Accept": "text/html,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/jobs/job_none", "/datasets/none"])
def test_what_is_not_there_is_a_page_for_people_and_a_document_for_programs(http: FlaskClient, path: str) -> None:
    page = http.get(path, headers=PAGE)
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "<h1>Not found</h1>" in page.text
    document = http.get(path)
    assert (document.status_code, document.mimetype) == (404, "application/problem+json")


@pytest.mark.parametrize(("path", "status"), [("/?cursor=a.b.c&sort=name", 422), ("/queue?cursor=%00", 200)])
def test_a_wrong_cursor_is_a_page_that_says_so(http: FlaskClient, path: str, status: int) -> None:
    page = http.get(path, headers=PAGE)
    assert page.status_code == status
    assert "cursor" in page.text


def test_the_parts_of_a_running_job_are_rendered_alone(http: FlaskClient, database: Database, lease: Lease) -> None:
    with database.write() as session:
        job = leases.held_job(session, lease)
        recording.record_epoch(session, job, epoch_ended(1, {"loss": 0.5}))
        recording.record_lines(session, job, [printed("a line of the log")])
    whole = http.get(f"/jobs/{lease.job_id}", headers=PAGE).text
    parts = http.get(f"/jobs/{lease.job_id}?only=parts", headers=PAGE).text
    for text in ('data-part="head"', 'data-part="files"', "<title>"):
        assert text in whole
        assert text in parts
    assert "a line of the log" in whole
    assert "a line of the log" not in parts
    assert len(parts) < len(whole)
