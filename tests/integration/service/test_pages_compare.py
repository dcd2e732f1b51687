"""The page that compares jobs, and how jobs are chosen in the list, without a browser."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from benchmarks.trained_jobs import add_epochs, store_trained_job
from service.db import Database
from service.store import jobs
from tests.integration.fixture_types import Submit

HOSTILE = "<script>alert(1)</script>\"'&amp;"


def shown(html: str) -> list[str]:
    return re.findall(r'<li data-job="([^"]+)"', html)


def pointers(html: str) -> list[str]:
    return re.findall(r'<tr ?(?:class="equal")?><th scope="row"><code>([^<]*)</code>', html)


def test_jobs_are_shown_in_the_order_of_the_address(http: FlaskClient, submit: Submit) -> None:
    first, second = submit(name="first"), submit(name="second")
    html = http.get(f"/compare?job={second}&job={first}&job={second}").text
    assert shown(html) == [second, first]
    assert "<title>Compare 2 jobs – FitQueue</title>" in html


def test_without_jobs_the_page_says_what_to_do(http: FlaskClient) -> None:
    response = http.get("/compare")
    assert response.status_code == 200
    assert "Choose jobs in the list of jobs" in response.text


def test_unknown_and_deleted_jobs_are_named_and_the_others_shown(
    http: FlaskClient, submit: Submit, database: Database
) -> None:
    kept, deleted = submit(), store_trained_job(database, 1)
    with database.write() as session:
        jobs.delete(session, deleted)
    html = http.get(f"/compare?job={deleted}&job={kept}&job=job_none&job=%00").text
    assert shown(html) == [kept]
    assert f"There is no job {deleted}, job_none, \0: it was deleted, or never existed." in html


def test_of_more_than_twenty_the_first_twenty_are_shown(http: FlaskClient, submit: Submit) -> None:
    ids = [submit() for _ in range(23)]
    html = http.get("/compare?" + "&".join(f"job={id}" for id in ids)).text
    assert shown(html) == ids[:20]
    assert "3 jobs are not shown: at most 20 can be compared." in html


@pytest.mark.parametrize("by_name", [True, False])
def test_a_job_is_added_by_its_id_or_name(http: FlaskClient, submit: Submit, by_name: bool) -> None:
    first = submit(name="a b&c")
    second = submit(name="a b&c")
    added = "a+b%26c" if by_name else second
    response = http.get(f"/compare?job={first}&values=all&add={added}")
    assert response.status_code == 303
    assert response.location == f"/compare?job={first}&job={second}&values=all"


def test_a_job_that_is_not_found_is_not_added(http: FlaskClient, submit: Submit) -> None:
    job = submit()
    for text in ("nobody", "x" * 5000, "%00"):
        html = http.get(f"/compare?job={job}&add={text}").text
        assert shown(html) == [job]
        assert "it was deleted, or never existed" in html


def test_only_differences_are_shown_unless_all_are_asked_for(http: FlaskClient, submit: Submit) -> None:
    ids = [submit(name="a", seed=1), submit(name="b", seed=1, labels={"team": "x" * 200})]
    url = "/compare?" + "&".join(f"job={id}" for id in ids)
    html = http.get(url).text
    assert pointers(html) == ["/name", "/labels/team"]
    assert f'href="/api/v1/jobs/{ids[0]}/diff/{ids[1]}"' in html
    assert "not set" in html
    assert html.count("x" * 200) == 1  # the whole value is there once, below a shortened one
    everything = http.get(f"{url}&values=all").text
    assert {"/name", "/seed", "/fit/epochs"} <= set(pointers(everything))


def test_the_table_has_the_last_values_and_marks_the_best(http: FlaskClient, database: Database) -> None:
    ids = [store_trained_job(database, epochs, 0, name=f"of {epochs}") for epochs in (3, 30)]
    html = http.get(f"/compare?job={ids[0]}&job={ids[1]}&sort=-epochs").text
    lines = re.findall(r'<tr data-job="([^"]+)">(.*?)</tr>', html, re.DOTALL)
    assert [id for id, _ in lines] == ids[::-1]
    assert '<span class="hidden">best</span>' in lines[0][1]
    assert 'data-column="metric:val_loss"' in lines[0][1]
    assert 'aria-sort="descending"' in html
    assert "30/30" in lines[0][1]


def test_hostile_text_is_shown_as_text(http: FlaskClient, submit: Submit, database: Database) -> None:
    ids = [submit(name=HOSTILE), submit(name="b", labels={"team": HOSTILE})]
    with database.write() as session:
        add_epochs(session, ids[0], [{"loss": 1.0, HOSTILE: 2.0}])
    url = "/compare?" + "&".join(f"job={id}" for id in ids)
    unknown = quote(f"{HOSTILE} and no such job")
    for address in (url, f"{url}&values=all", f"/compare?job={unknown}&add={unknown}&sort={unknown}", "/"):
        html = http.get(address).text
        assert "<script>alert" not in html
        assert HOSTILE in unescape(html)


def test_the_page_needs_a_login(stranger: FlaskClient) -> None:
    response = stranger.get("/compare?job=a", headers={"Accept": "text/html"})
    assert response.status_code in {302, 303}
    assert "/login" in response.location


def test_jobs_of_the_list_can_be_chosen_without_a_script(http: FlaskClient, submit: Submit) -> None:
    job = submit(name="waits")
    html = http.get("/").text
    assert re.search(r'<form id="choice"[^>]* action="/compare"', html)
    assert re.search(
        rf'<input type="checkbox" form="choice" name="job" value="{job}"[^>]*data-actions="pause cancel"', html
    )
