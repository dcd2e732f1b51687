"""Whose things are, on the pages: who sees which buttons, filters and links."""

import io
import re

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from fitqueue.roles import Role, Scope
from service.db import Database
from service.store import projects, users
from tests.integration.service.people import add_user
from tests.small_job import small_job


@pytest.fixture
def ada(app: Flask, database: Database) -> FlaskClient:
    return add_user(app, database, "ada", Role.MEMBER)


@pytest.fixture
def bob(app: Flask, database: Database) -> FlaskClient:
    return add_user(app, database, "bob", Role.MEMBER)


@pytest.fixture
def viewer(app: Flask, database: Database) -> FlaskClient:
    return add_user(app, database, "vera", Role.VIEWER)


@pytest.fixture
def admin(app: Flask, database: Database) -> FlaskClient:
    return add_user(app, database, "root", Role.ADMIN)


def submit(client: FlaskClient, name: str, **fields: object) -> str:
    answer = client.post("/api/v1/jobs", json={**small_job(2), "name": name, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json["id"])


def actions(page: str) -> list[str]:
    return re.findall(r'data-action="([a-z-]+)" (?!hidden|class="danger" hidden)', page)


def test_only_those_who_may_change_a_job_see_its_buttons(
    ada: FlaskClient, bob: FlaskClient, viewer: FlaskClient, admin: FlaskClient
) -> None:
    job = submit(ada, "hers")
    own = ada.get(f"/jobs/{job}").text
    assert actions(own) == ["change", "pause", "cancel"]
    assert "only its owner and admins" not in own
    assert actions(admin.get(f"/jobs/{job}").text) == ["change", "pause", "cancel"]
    others = bob.get(f"/jobs/{job}").text
    assert actions(others) == []
    assert "It belongs to ada: only its owner and admins may change it." in others
    assert actions(bob.get(f"/jobs/{job}?only=parts").text) == []
    seen = viewer.get(f"/jobs/{job}").text
    assert actions(seen) == []
    assert "your role is viewer" in seen
    assert "New job from this" in others
    assert "New job from this" not in seen


def test_a_narrow_token_sees_no_buttons_and_why(app: Flask, database: Database, ada: FlaskClient) -> None:
    job = submit(ada, "hers")
    narrow = add_user(app, database, "ada", Role.MEMBER, Scope.SUBMIT)
    page = narrow.get(f"/jobs/{job}").text
    assert actions(page) == []
    assert "has the scope submit" in page
    assert 'href="/new"' in page
    assert 'href="/new"' not in add_user(app, database, "ada", Role.MEMBER, Scope.READ).get("/").text


def test_a_list_offers_for_each_job_what_its_reader_may_do(ada: FlaskClient, bob: FlaskClient) -> None:
    jobs = {name: submit(client, name) for name, client in (("hers", ada), ("his", bob))}
    page = ada.get("/").text
    boxes = {job: re.search(rf'value="{job}"[^>]*data-actions="([^"]*)"', page) for job in jobs.values()}
    assert [box and box[1] for box in boxes.values()] == ["pause cancel", ""]
    queue = ada.get("/queue").text
    assert f'data-front="{jobs["his"]}"' not in queue
    assert f'data-front="{jobs["his"]}"' in bob.get("/queue").text


@pytest.mark.parametrize("path", ["/", "/queue"])
def test_a_list_is_filtered_by_owner_and_project(
    database: Database, ada: FlaskClient, bob: FlaskClient, path: str
) -> None:
    with database.write() as session:
        projects.create(session, "vision")
    ids = {
        "lab-hers": submit(ada, "lab-hers"),
        "vision-hers": submit(ada, "vision-hers", project="vision"),
        "vision-his": submit(bob, "vision-his", project="vision"),
    }

    def listed(query: str) -> set[str]:
        page = ada.get(f"{path}?{query}").text
        return {name for name, id in ids.items() if f'href="/jobs/{id}"' in page}

    assert listed("") == set(ids)
    assert listed("owner=ada") == {"lab-hers", "vision-hers"}
    assert listed("project=vision") == {"vision-hers", "vision-his"}
    assert listed("owner=bob&project=vision") == {"vision-his"}
    assert listed("owner=nobody") == listed("project=none") == set()
    assert f'href="{path}?owner=ada"' in ada.get(path).text, "the link «Mine»"


def test_projects_are_shown_only_if_there_are_several_to_see(
    database: Database, ada: FlaskClient, bob: FlaskClient
) -> None:
    job = submit(ada, "hers")
    paths = ("/", "/queue", "/datasets", f"/jobs/{job}", "/new")
    assert [path for path in paths if "Project" in ada.get(path).text] == []
    with database.write() as session:
        closed = projects.create(session, "secret-project", is_open=False)
    assert [path for path in paths if "secret" in ada.get(path).text] == []
    with database.write() as session:
        projects.add_member(session, projects.get(session, closed.name), users.get(session, "bob"))
    assert [path for path in paths if "Project" not in bob.get(path).text and "project" not in bob.get(path).text] == []
    assert [path for path in paths if "secret" in ada.get(path).text] == []
    assert "secret-project" in bob.get("/datasets").text


def test_the_queue_keeps_true_positions_when_it_is_filtered(ada: FlaskClient, bob: FlaskClient) -> None:
    submit(ada, "first")
    submit(bob, "second")
    [row] = bob.get("/api/v1/queue?owner=bob&total=true").json["data"]
    assert row["position"] == 2
    assert bob.get("/api/v1/queue?owner=bob&total=true").json["total"] == 1


def test_a_viewer_finds_no_way_to_submit(viewer: FlaskClient) -> None:
    for path in ("/", "/datasets", "/queue"):
        page = viewer.get(path).text
        assert 'href="/new"' not in page
        assert 'id="upload"' not in page
        assert 'action="/new"' not in page
    answer = viewer.get("/new")
    assert answer.status_code == 403
    assert "<h1>Not allowed</h1>" in answer.text
    assert "vera is a viewer; this needs the role member." in answer.text


def test_the_header_says_who_is_logged_in(viewer: FlaskClient, admin: FlaskClient) -> None:
    page = viewer.get("/queue").text
    assert re.search(r'class="who">vera <span class="hint">viewer</span>', page)
    assert 'href="/account"' in page
    assert 'href="/admin"' not in page
    assert 'href="/admin"' in admin.get("/queue").text


def test_the_data_set_tells_its_owner_and_who_may_delete_it(ada: FlaskClient, bob: FlaskClient, npz: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    answer = ada.post("/api/v1/datasets?name=faces", data=npz, headers=headers)
    assert answer.status_code == 201, answer.text
    own, others = (client.get("/datasets/faces").text for client in (ada, bob))
    assert 'id="delete-dataset"' in own
    assert 'href="/datasets?owner=ada"' in others
    assert 'id="delete-dataset"' not in others
    assert "It belongs to ada" in others
    assert "It belongs" not in bob.get("/datasets/mnist").text
    assert "faces" in bob.get("/datasets?owner=ada").text
    assert "faces" not in bob.get("/datasets?owner=bob").text


@pytest.fixture
def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, x=np.zeros((4, 2)))
    return file.getvalue()


def test_what_is_not_to_be_seen_is_not_found(database: Database, admin: FlaskClient, ada: FlaskClient) -> None:
    with database.write() as session:
        projects.create(session, "secret", is_open=False)
    job = submit(admin, "concealed", project="secret")
    assert ada.get(f"/jobs/{job}").status_code == 404
    assert "concealed" not in ada.get("/").text + ada.get("/queue").text
