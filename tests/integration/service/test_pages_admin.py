"""The pages for admins: users and projects, by forms that work without a script."""

import html
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fitqueue.roles import Role, Scope
from service.db import Database
from tests.integration.service.people import add_user


@pytest.fixture
def admin(app: Flask, database: Database) -> FlaskClient:
    return add_user(app, database, "root", Role.ADMIN)


@pytest.fixture
def ada(app: Flask, database: Database) -> FlaskClient:
    return add_user(app, database, "ada", Role.MEMBER)


def user(client: FlaskClient, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/api/v1/users/{name}").json
    return answer


def project(client: FlaskClient, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/api/v1/projects/{name}").json
    return answer


def test_it_begins_with_the_users(admin: FlaskClient) -> None:
    answer = admin.get("/admin")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/users")
    page = admin.get("/admin/users").text
    assert re.search(r'href="/admin/users" aria-current="page"', page)
    assert "<strong>root</strong>" in page


@pytest.mark.parametrize("path", ["/admin", "/admin/users", "/admin/projects", "/admin/audit", "/admin/webhooks"])
@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_others_are_told_why_they_see_none(app: Flask, database: Database, path: str, role: Role) -> None:
    answer = add_user(app, database, "eve", role).get(path)
    assert answer.status_code == 403
    assert "<h1>Not allowed</h1>" in answer.text
    assert f"eve is a {role}; this needs the role admin." in answer.text


def test_others_change_nothing(admin: FlaskClient, ada: FlaskClient) -> None:
    id = user(admin, "ada")["id"]
    assert ada.post(f"/admin/users/{id}", data={"role": "admin"}).status_code == 403
    assert ada.post("/admin/users", data={"name": "new"}).status_code == 403
    assert ada.post("/admin/projects", data={"name": "new"}).status_code == 403
    assert user(admin, "ada")["role"] == "member"


def test_a_narrow_token_of_an_admin_looks_and_changes_nothing(app: Flask, database: Database) -> None:
    narrow = add_user(app, database, "root", Role.ADMIN, Scope.READ)
    assert "<strong>root</strong>" in narrow.get("/admin/users").text
    answer = narrow.post("/admin/users", data={"name": "new"})
    assert answer.status_code == 403
    assert "has the scope read; this needs the scope all" in answer.text


def test_a_user_is_added_changed_disabled_and_enabled(admin: FlaskClient) -> None:
    answer = admin.post("/admin/users", data={"name": "grace", "role": "viewer"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/users?saved=new")
    assert '<p role="status">Saved.</p>' in admin.get("/admin/users?saved=new").text
    id = user(admin, "grace")["id"]
    path = f"/admin/users/{id}"
    assert admin.post(path, data={"role": "member", "share": "2.5", "max_priority": "10"}).status_code == 303
    changed = user(admin, "grace")
    assert (changed["role"], changed["share"], changed["max_priority"]) == ("member", 2.5, 10)
    assert admin.post(path, data={"disabled": "true"}).status_code == 303
    assert user(admin, "grace")["disabled_at"] is not None
    assert ">disabled</span>" in admin.get("/admin/users").text
    assert admin.post(path, data={"disabled": "false"}).status_code == 303
    enabled = user(admin, "grace")
    assert (enabled["disabled_at"], enabled["role"]) == (None, "member")


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        (
            {"name": "Ada Lovelace"},
            '<p class="error" role="alert" id="new-name-fault">Expected 1 to 64 lower-case letters',
        ),
        ({"name": "ada"}, '<p class="error" role="alert">Another user already has the name \'ada\'.</p>'),
        ({"name": "x", "role": "king"}, 'id="new-role-fault">Expected'),
    ],
)
def test_a_user_that_cannot_be_added_is_said_so(
    admin: FlaskClient, ada: FlaskClient, form: dict[str, str], fault: str
) -> None:
    answer = admin.post("/admin/users", data=form)
    assert answer.status_code in {409, 422}
    assert fault in html.unescape(answer.text)
    assert f'value="{form["name"]}"' in answer.text, "what was written stays"


@pytest.mark.parametrize(
    ("form", "field"),
    [({"share": "0"}, "share"), ({"share": "nan"}, "share"), ({"max_priority": "101"}, "max_priority")],
)
def test_a_change_that_is_refused_opens_its_user(
    admin: FlaskClient, ada: FlaskClient, form: dict[str, str], field: str
) -> None:
    id = user(admin, "ada")["id"]
    answer = admin.post(f"/admin/users/{id}", data=form)
    assert answer.status_code == 422
    assert re.search(rf'id="entry-{id}" open', answer.text)
    assert f'id="user-{id}-{field}-fault"' in answer.text


def test_the_last_admin_stays_one(admin: FlaskClient) -> None:
    first = user(admin, "admin")["id"]
    assert admin.post(f"/admin/users/{first}", data={"role": "member"}).status_code == 303
    answer = admin.post(f"/admin/users/{user(admin, 'root')['id']}", data={"disabled": "true"})
    assert answer.status_code == 409
    assert "root is the last admin: make somebody else one first." in answer.text


def test_a_token_for_a_user_is_shown_once_and_revoked(app: Flask, admin: FlaskClient, ada: FlaskClient) -> None:
    id = user(admin, "ada")["id"]
    created = admin.post(f"/admin/users/{id}/tokens", data={"name": "for ada", "scope": "read"})
    assert created.status_code == 200
    [secret] = re.findall(r'<code id="new-token">(fq_[^<]+)</code>', created.text)
    assert "The token for ada of ada" in created.text
    headers = {"Authorization": f"Bearer {secret}"}
    me = app.test_client().get("/api/v1/me", headers=headers).json
    assert (me["user"]["name"], me["token"]["scope"]) == ("ada", "read")
    page = admin.get("/admin/users").text
    assert secret not in page
    assert 'aria-label="Revoke the token for ada"' in page
    assert admin.post(f"/admin/users/tokens/{me['token']['id']}/revoke").status_code == 303
    assert app.test_client().get("/api/v1/me", headers=headers).status_code == 401


def test_a_project_is_added_closed_and_opened_to_members(admin: FlaskClient, ada: FlaskClient) -> None:
    answer = admin.post("/admin/projects", data={"name": "vision", "open": "false"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/projects?saved=new")
    vision = project(admin, "vision")
    assert vision["open"] is False
    assert ada.get("/api/v1/projects/vision").status_code == 404
    path = f"/admin/projects/{vision['id']}"
    assert admin.post(f"{path}/members", data={"user": "ada"}).status_code == 303
    assert ada.get("/api/v1/projects/vision").status_code == 200
    assert "Remove ada" in admin.get("/admin/projects").text
    assert admin.post(f"{path}/members/ada/remove").status_code == 303
    assert ada.get("/api/v1/projects/vision").status_code == 404
    assert admin.post(path, data={"open": "true", "share": "3"}).status_code == 303
    changed = project(admin, "vision")
    assert (changed["open"], changed["share"]) == (True, 3.0)


def test_what_a_project_cannot_be_is_said(admin: FlaskClient) -> None:
    id = project(admin, "lab")["id"]
    for path, form, status, fault in (
        ("/admin/projects", {"name": "lab"}, 409, "Another project already has the name 'lab'."),
        ("/admin/projects", {"name": "Ünfit"}, 422, 'id="new-name-fault"'),
        (f"/admin/projects/{id}", {"share": "-1"}, 422, f'id="project-{id}-share-fault"'),
        (f"/admin/projects/{id}/members", {"user": "nobody"}, 404, "There is no user 'nobody'."),
        (f"/admin/projects/{id}/members", {}, 422, f'id="member-{id}-user-fault"'),
    ):
        answer = admin.post(path, data=form)
        assert answer.status_code == status, path
        assert fault in html.unescape(answer.text)


@pytest.mark.parametrize("path", ["users/a%00b", "projects/a%00b", "users/tokens/a%00b/revoke", "users/nobody"])
def test_what_is_not_there_cannot_be_changed(admin: FlaskClient, path: str) -> None:
    answer = admin.post(f"/admin/{path}", data={"share": "1"})
    assert answer.status_code in {404, 422}
    assert answer.mimetype == "text/html"


def test_the_audit_log_is_shown_and_filtered(admin: FlaskClient) -> None:
    admin.post("/admin/users", data={"name": "grace"})
    admin.post("/admin/projects", data={"name": "vision"})
    [log] = re.findall(r"<tbody>(.*)</tbody>", admin.get("/admin/audit").text, re.DOTALL)
    assert log.index("project.create") < log.index("user.create"), "newest first"
    assert "127.0.0.1" in log
    assert "grace" in log
    [log] = re.findall(r"<tbody>(.*)</tbody>", admin.get("/admin/audit?action=user&user=root").text, re.DOTALL)
    assert "grace" in log
    assert "vision" not in log
    assert "Nothing was recorded." in admin.get("/admin/audit?user=nobody").text
    assert "since: Expected" in admin.get("/admin/audit?since=once").text
    older = re.search(r'href="([^"]*cursor=[^"]*)" rel="next"', admin.get("/admin/audit?limit=1").text)
    assert older
    assert "grace" in admin.get(html.unescape(older[1])).text


def test_limits_are_set_shown_and_removed(admin: FlaskClient, ada: FlaskClient) -> None:
    id = user(admin, "ada")["id"]
    path = f"/admin/users/{id}/limits"
    limits = {"limits/running_jobs": "4", "limits/stored_bytes": "1000000", "limits/gpus": ""}
    assert admin.post(path, data=limits).status_code == 303
    stored = user(admin, "ada")["limits"]
    assert (stored["running_jobs"], stored["stored_bytes"], stored["gpus"]) == (4, 1_000_000, None)
    page = ada.get("/account").text
    assert re.search(r"Running jobs</th>\s*<td>0</td>\s*<td>4 ", page)
    assert "1.0 MB" in page
    assert "no limit" in page
    assert admin.post(path, data={"limits/running_jobs": ""}).status_code == 303
    assert user(admin, "ada")["limits"]["running_jobs"] is None
    answer = admin.post(path, data={"limits/running_jobs": "-1", "limits/requests_per_minute": "many"})
    assert answer.status_code == 422
    for name in ("running_jobs", "requests_per_minute"):
        assert f'id="limits-{id}-limits/{name}-fault"' in answer.text
    lab = project(admin, "lab")["id"]
    assert admin.post(f"/admin/projects/{lab}/limits", data={"limits/gpus": "8"}).status_code == 303
    assert project(admin, "lab")["limits"]["gpus"] == 8


def test_the_retention_of_a_project_is_set_shown_and_removed(admin: FlaskClient) -> None:
    lab = project(admin, "lab")["id"]
    path = f"/admin/projects/{lab}/retention"
    assert project(admin, "lab")["retention"]["snapshots_days"] == 30
    wanted = {"logs_days": "90", "snapshots_days": "", "keep_checkpoints": "best_and_last"}
    form = {f"retention/{name}": value for name, value in wanted.items()}
    answer = admin.post(path, data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/admin/projects?saved=project-{lab}")
    stored = project(admin, "lab")["retention"]
    assert (stored["logs_days"], stored["snapshots_days"], stored["events_days"]) == (90, None, None)
    assert stored["keep_checkpoints"] == "best_and_last"
    page = admin.get("/admin/projects").text
    assert re.search(r'name="retention/logs_days"\s+value="90"', page)
    assert re.search(r'name="retention/snapshots_days"\s+value=""', page)
    assert '<option value="best_and_last" selected>' in page
    wrong = {"retention/logs_days": "0", "retention/events_days": "soon", "retention/keep_checkpoints": "some"}
    answer = admin.post(path, data=wrong)
    assert answer.status_code == 422
    for name in wrong:
        assert f'id="retention-{lab}-{name}-fault"' in answer.text
    assert 'value="soon"' in answer.text, "what was written stays"
    assert project(admin, "lab")["retention"] == stored


WEBHOOK = {"url": "https://93.184.216.34/hook", "project": "lab", "events": ["job.failed", "job.requeued"]}


def test_a_webhook_is_created_tested_resent_and_deleted(admin: FlaskClient) -> None:
    created = admin.post("/admin/webhooks", data=WEBHOOK)
    assert created.status_code == 200, created.text
    assert created.headers["Cache-Control"] == "no-store"
    [secret] = re.findall(r'<code id="new-secret">(whsec_[^<]+)</code>', created.text)
    page = admin.get("/admin/webhooks").text
    assert secret not in page
    assert "job.failed, job.requeued" in page
    [webhook] = admin.get("/api/v1/webhooks").json["data"]
    path = f"/admin/webhooks/{webhook['id']}"
    tested = admin.post(f"{path}/test")
    assert (tested.status_code, tested.headers["Location"]) == (303, path)
    page = admin.get(path).text
    assert "webhook.test" in page
    assert "pending" in page
    [delivery] = admin.get(f"/api/v1/webhooks/{webhook['id']}/deliveries").json["data"]
    resent = admin.post(f"{path}/deliveries/{delivery['id']}/resend")
    assert resent.status_code in {303, 409}
    assert admin.post(f"{path}/deliveries/none/resend").status_code == 404
    assert admin.post(f"{path}/delete").status_code == 303
    assert "There is no webhook." in admin.get("/admin/webhooks").text
    assert admin.get(path).status_code == 404


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ({**WEBHOOK, "url": "ftp://example.org"}, 'id="new-url-fault"'),
        ({**WEBHOOK, "events": []}, 'id="new-events-fault"'),
        ({**WEBHOOK, "job": "job_1"}, "A webhook is for the jobs of a project, or for one job."),
    ],
)
def test_a_webhook_that_cannot_be_created_is_said_so(admin: FlaskClient, form: dict[str, Any], fault: str) -> None:
    answer = admin.post("/admin/webhooks", data=form)
    assert answer.status_code == 422
    assert fault in html.unescape(answer.text)
    assert f'value="{form["url"]}"' in answer.text
