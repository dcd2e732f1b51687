"""The page of a new job as the service renders it, and what its form posts."""

import html
import json
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from service.db import Database
from service.models import Job
from tests.integration.fixture_types import Submit
from tests.small_job import small_job

HOSTILE = '</textarea><script>alert("x")</script>{{ 7 * 7 }}'
ORIGIN = {"Origin": "http://localhost"}


def written(page: str) -> str:
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found
    return html.unescape(found[1])


def count_jobs(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def test_the_form_is_empty_at_first(http: FlaskClient) -> None:
    answer = http.get("/new")
    assert answer.status_code == 200
    assert written(answer.text) == ""


@pytest.mark.parametrize("name", ["digits_dense", "digits_cnn", "mnist_cnn"])
def test_it_starts_from_an_example(http: FlaskClient, name: str) -> None:
    assert json.loads(written(http.get(f"/new?example={name}").text))["model"]["class_name"] == "Sequential"


def test_it_starts_from_another_job_whose_words_stay_words(http: FlaskClient, submit: Submit) -> None:
    job_id = submit(name=HOSTILE, labels={"k": HOSTILE})
    answer = http.get(f"/new?from={job_id}")
    assert "<script>alert" not in answer.text
    job = json.loads(written(answer.text))
    assert (job["name"], job["labels"]) == (HOSTILE, {"k": HOSTILE})
    assert http.post("/api/v1/jobs?dry_run=true", json=job).status_code == 200
    assert f'href="/new?from={job_id}"' in http.get(f"/jobs/{job_id}").text


@pytest.mark.parametrize(
    "query", ["from=job_no", "from=%00", "from=%3Cscript%3Ealert", "example=..%2Fwords", "example=x"]
)
def test_what_does_not_exist_is_said_on_the_page(http: FlaskClient, query: str) -> None:
    answer = http.get(f"/new?{query}")
    assert answer.status_code == 404
    assert "There is no" in answer.text
    assert "<script>alert" not in answer.text


def test_a_posted_job_is_submitted_once(http: FlaskClient, database: Database) -> None:
    form = {"job": json.dumps(small_job(2), indent=2).replace("\n", "\r\n"), "key": "k1"}
    answers = [http.post("/new", data=form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert answers[0].headers["Location"].startswith("/jobs/job_")
    assert count_jobs(database) == 1


def test_an_example_is_submitted_by_its_name(http: FlaskClient) -> None:
    answer = http.post("/new", data={"example": "digits_dense", "key": "first-visit"})
    assert "digits-dense" in http.get(answer.headers["Location"]).text
    assert http.post("/new", data={"example": "x"}).status_code == 404


def test_a_posted_job_with_faults_is_shown_again_with_them(http: FlaskClient, database: Database) -> None:
    job = {**small_job(2), "name": HOSTILE, HOSTILE: 1, "fit": {"epochs": 0}}
    answer = http.post("/new", data={"job": json.dumps(job), "key": "k"})
    assert answer.status_code == 422
    assert json.loads(written(answer.text)) == job
    assert "<code>/fit/epochs</code> Expected a number of at least 1." in html.unescape(answer.text)
    assert "<script>alert" not in answer.text
    assert count_jobs(database) == 0


def test_a_text_that_is_not_json_is_shown_again_with_its_place(http: FlaskClient) -> None:
    answer = http.post("/new", data={"job": '{\r\n"a" 1}', "key": "k"})
    assert answer.status_code == 400
    assert "at line 2, column 5" in answer.text
    assert written(answer.text) == '{\n"a" 1}'


def test_a_check_stores_nothing(http: FlaskClient, database: Database) -> None:
    answer = http.post("/new", data={"job": json.dumps(small_job(2)), "action": "check"})
    assert answer.status_code == 200
    assert "The service would accept this job." in answer.text
    assert count_jobs(database) == 0


def test_a_key_for_another_job_is_an_error_and_the_text_stays(http: FlaskClient) -> None:
    http.post("/new", data={"job": json.dumps(small_job(2)), "key": "k"})
    answer = http.post("/new", data={"job": json.dumps(small_job(3)), "key": "k"})
    assert answer.status_code == 422
    assert "with another body" in answer.text
    assert json.loads(written(answer.text)) == small_job(3)


def test_a_large_job_is_not_cut(app: Flask, http: FlaskClient) -> None:
    """Werkzeug takes 500 kB of a form by default. The limit of the service is that of its bodies."""
    app.config["MAX_CONTENT_LENGTH"] = 2_000_000
    text = json.dumps(small_job(2)) + " " * 1_000_000
    answer = http.post("/new", data={"job": text, "action": "check"}, content_type="multipart/form-data")
    assert (answer.status_code, len(written(answer.text))) == (200, len(text))


def test_another_site_cannot_submit_a_job(app: Flask, token: str, database: Database) -> None:
    browser = app.test_client()
    browser.post("/login", data={"token": token}, headers=ORIGIN)
    form = {"job": json.dumps(small_job(2)), "key": "k"}
    assert browser.post("/new", data=form, headers={"Origin": "http://evil.example"}).status_code == 403
    assert count_jobs(database) == 0
    assert browser.post("/new", data=form, headers=ORIGIN).status_code == 303


def test_an_empty_service_says_what_to_type_with_its_own_address(http: FlaskClient, submit: Submit) -> None:
    page = html.unescape(http.get("/", base_url="https://fit.example:8443").text)
    assert "export FITQUEUE_URL=https://fit.example:8443\nexport FITQUEUE_TOKEN='<your token>'\n" in page
    assert "history = client.fit(model, x, y" in page
    assert "FITQUEUE_URL" not in http.get("/?state=failed").text
    submit()
    assert "FITQUEUE_URL" not in http.get("/").text


def test_the_address_cannot_be_a_command(http: FlaskClient) -> None:
    page = html.unescape(http.get("/", headers={"Host": "$(reboot)"}).text)
    assert "export FITQUEUE_URL=http://$(" not in page
