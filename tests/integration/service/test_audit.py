"""The audit log: each write route has a row for what it did, and none for what it did not do."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any, Final
from unittest.mock import ANY

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Table, delete, insert, select, text, update
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from werkzeug.test import TestResponse

from fitqueue.account_views import AuditView
from fitqueue.audit_actions import AuditAction
from fitqueue.states import JobState
from fitqueue.views import Page
from service import clock
from service.api.context import Services
from service.db import Database
from service.models import AuditEntry, Base
from service.overdue import OverdueJobs
from service.purging import AUDIT_ENTRIES, purge_audit_log
from service.store import login, tokens, workers
from tests.integration.fixture_types import MakeSpec
from tests.integration.service.lab import PROJECT, WORKER, Lab
from tests.integration.service.npz import npz
from tests.integration.service.test_roles import LINES

URL: Final = "/api/v1/audit"
ORIGIN: Final = {"Origin": "http://localhost"}


@dataclass(frozen=True)
class Write:
    """A request that does something.

    Attributes:
        target: the id that its row has; None: that of what it creates.
        missing: the same request for what does not exist; None: there is no such request.
    """

    action: AuditAction
    path: str
    target: Any = None
    options: Mapping[str, Any] | None = None
    missing: str | None = None


MakeWrite = Callable[[Lab], Write]


def _job(action: AuditAction, suffix: str, state: JobState = JobState.QUEUED, **options: Any) -> MakeWrite:
    def make(lab: Lab) -> Write:
        if action is AuditAction.JOB_MOVE_TO_FRONT:
            lab.job(pool="contested", priority=5)
        job_id = lab.job(state, **({"pool": "contested"} if action is AuditAction.JOB_MOVE_TO_FRONT else {}))
        return Write(action, f"/api/v1/jobs/{job_id}{suffix}", job_id, options, f"/api/v1/jobs/none{suffix}")

    return make


def _member(action: AuditAction) -> MakeWrite:
    def make(lab: Lab) -> Write:
        members = f"/api/v1/projects/{PROJECT}/members"
        user = "viewer" if action is AuditAction.PROJECT_REMOVE_MEMBER else "outsider"
        return Write(action, f"{members}/{user}", lab.project.id, missing=f"{members}/none")

    return make


def _drain(action: AuditAction) -> MakeWrite:
    def make(lab: Lab) -> Write:
        if action is AuditAction.WORKER_END_DRAIN:
            with lab.services.database.write() as session:
                workers.drain(session, WORKER)
        return Write(action, f"/api/v1/workers/{WORKER}/drain", WORKER, missing="/api/v1/workers/none/drain")

    return make


def _dataset(lab: Lab) -> Write:
    dataset_id = lab.dataset("letters")
    return Write(
        AuditAction.DATASET_DELETE, f"/api/v1/datasets/{dataset_id}", dataset_id, missing="/api/v1/datasets/none"
    )


def _revoked(lab: Lab) -> Write:
    token_id = lab.token_id()
    return Write(AuditAction.TOKEN_REVOKE, f"/api/v1/tokens/{token_id}", token_id, missing="/api/v1/tokens/none")


def _login(lab: Lab) -> Write:
    form = {"data": {"token": lab.token}, "headers": {**ORIGIN, "Authorization": ""}}
    return Write(AuditAction.LOGIN_BEGIN, "/login", lab.boss_token_id, form)


def _link(lab: Lab) -> Write:
    with lab.services.database.write() as session:
        secret, _ = login.create_link(session, lab.boss_token_id)
    return Write(AuditAction.LOGIN_BEGIN, f"/login?link={secret}", lab.boss_token_id, missing="/login?link=none")


def _logout(lab: Lab) -> Write:
    with lab.services.database.write() as session:
        secret = login.begin(session, lab.boss_token_id, timedelta(days=1))
    headers = {**ORIGIN, "Cookie": f"fitqueue_session={secret}", "Authorization": ""}
    return Write(AuditAction.LOGIN_END, "/logout", lab.boss_token_id, {"headers": headers})


def _new_job(lab: Lab) -> Write:
    return Write(AuditAction.JOB_SUBMIT, "/api/v1/jobs", options={"json": lab.make_spec().to_json()})


def _new_job_of_a_form(lab: Lab) -> Write:
    form = {"job": lab.make_spec().model_dump_json(exclude_none=True), "key": "k"}
    return Write(AuditAction.JOB_SUBMIT, "/new", options={"data": form})


def _upload(_: Lab) -> Write:
    body = {"data": npz(x=[1.0]), "content_type": "application/octet-stream"}
    return Write(AuditAction.DATASET_UPLOAD, "/api/v1/datasets?name=letters", options=body)


def _webhook(action: AuditAction, suffix: str = "") -> MakeWrite:
    def make(lab: Lab) -> Write:
        webhook_id, delivery_id = lab.webhook()
        end = suffix.format(delivery=delivery_id)
        return Write(action, f"/api/v1/webhooks/{webhook_id}{end}", webhook_id, missing=f"/api/v1/webhooks/none{end}")

    return make


def _form(action: AuditAction, path: str, missing: str | None = None, **fields: str) -> MakeWrite:
    """A form of a page. Its answer does not tell the id of what it creates."""

    def make(lab: Lab) -> Write:
        webhook_id, delivery_id = lab.webhook()
        ids = {"project": PROJECT, "webhook": webhook_id, "delivery": delivery_id, "token": lab.token_id()}
        none = None if missing is None else path.format(**{**ids, missing: "none"})
        return Write(action, path.format(**ids), ANY, {"data": fields}, none)

    return make


def _send(
    action: AuditAction, path: str, body: Any, *, missing: str | None = None, target: str | None = None
) -> MakeWrite:
    return lambda _: Write(action, path, target, {"json": body}, missing)


WRITES: Final[Mapping[str, MakeWrite]] = {
    "POST /api/v1/jobs": _new_job,
    "POST /new": _new_job_of_a_form,
    "PATCH /api/v1/jobs/<job_id>": _job(AuditAction.JOB_CHANGE, "", json={"name": "another", "labels": {"a": "b"}}),
    "DELETE /api/v1/jobs/<job_id>": _job(AuditAction.JOB_DELETE, "", JobState.SUCCEEDED),
    "POST /api/v1/jobs/<job_id>/cancel": _job(AuditAction.JOB_CANCEL, "/cancel", JobState.RUNNING),
    "POST /api/v1/jobs/<job_id>/extend": _job(
        AuditAction.JOB_EXTEND, "/extend", JobState.SUCCEEDED, json={"epochs": 3}
    ),
    "POST /api/v1/jobs/<job_id>/move-to-front": _job(AuditAction.JOB_MOVE_TO_FRONT, "/move-to-front"),
    "POST /api/v1/jobs/<job_id>/pause": _job(AuditAction.JOB_PAUSE, "/pause"),
    "POST /api/v1/jobs/<job_id>/resume": _job(AuditAction.JOB_RESUME, "/resume", JobState.PAUSED),
    "POST /api/v1/datasets": _upload,
    "DELETE /api/v1/datasets/<reference>": _dataset,
    "POST /api/v1/login-links": lambda lab: Write(
        AuditAction.LOGIN_CREATE_LINK, "/api/v1/login-links", lab.boss_token_id
    ),
    "POST /login": _login,
    "GET /login": _link,
    "POST /logout": _logout,
    "POST /api/v1/tokens": _send(AuditAction.TOKEN_CREATE, "/api/v1/tokens", {"name": "laptop", "user": "owner"}),
    "DELETE /api/v1/tokens/<token_id>": _revoked,
    "POST /api/v1/users": _send(AuditAction.USER_CREATE, "/api/v1/users", {"name": "ada"}),
    "PATCH /api/v1/users/<user>": lambda lab: Write(
        AuditAction.USER_CHANGE, "/api/v1/users/owner", lab.users["owner"].id, {"json": {"disabled": True}},
        "/api/v1/users/none",
    ),
    "POST /api/v1/projects": _send(AuditAction.PROJECT_CREATE, "/api/v1/projects", {"name": "vision"}),
    "PATCH /api/v1/projects/<project>": lambda lab: Write(
        AuditAction.PROJECT_CHANGE, f"/api/v1/projects/{PROJECT}", lab.project.id, {"json": {"open": True}},
        "/api/v1/projects/none",
    ),
    "PUT /api/v1/projects/<project>/members/<user>": _member(AuditAction.PROJECT_ADD_MEMBER),
    "DELETE /api/v1/projects/<project>/members/<user>": _member(AuditAction.PROJECT_REMOVE_MEMBER),
    "POST /api/v1/webhooks": _send(
        AuditAction.WEBHOOK_CREATE, "/api/v1/webhooks", {"url": "https://example.org/hook", "project": PROJECT}
    ),
    "DELETE /api/v1/webhooks/<webhook_id>": _webhook(AuditAction.WEBHOOK_DELETE),
    "POST /api/v1/webhooks/<webhook_id>/test": _webhook(AuditAction.WEBHOOK_TEST, "/test"),
    "POST /api/v1/webhooks/<webhook_id>/deliveries/<delivery_id>/resend": _webhook(
        AuditAction.WEBHOOK_RESEND, "/deliveries/{delivery}/resend"
    ),
    "POST /api/v1/workers/<worker_id>/drain": _drain(AuditAction.WORKER_DRAIN),
    "DELETE /api/v1/workers/<worker_id>/drain": _drain(AuditAction.WORKER_END_DRAIN),
    "POST /account/tokens": _form(AuditAction.TOKEN_CREATE, "/account/tokens", name="laptop"),
    "POST /account/tokens/<token_id>/revoke": _form(
        AuditAction.TOKEN_REVOKE, "/account/tokens/{token}/revoke", "token"
    ),
    "POST /admin/users": _form(AuditAction.USER_CREATE, "/admin/users", name="ada", role="member"),
    "POST /admin/users/<user>": _form(AuditAction.USER_CHANGE, "/admin/users/owner", role="viewer"),
    "POST /admin/users/<user>/limits": _form(
        AuditAction.USER_CHANGE, "/admin/users/owner/limits", **{"limits/gpus": "2"}
    ),
    "POST /admin/users/<user>/tokens": _form(AuditAction.TOKEN_CREATE, "/admin/users/owner/tokens", name="laptop"),
    "POST /admin/users/tokens/<token_id>/revoke": _form(
        AuditAction.TOKEN_REVOKE, "/admin/users/tokens/{token}/revoke", "token"
    ),
    "POST /admin/projects": _form(AuditAction.PROJECT_CREATE, "/admin/projects", name="vision"),
    "POST /admin/projects/<project>": _form(
        AuditAction.PROJECT_CHANGE, "/admin/projects/{project}", "project", open="true"
    ),
    "POST /admin/projects/<project>/limits": _form(
        AuditAction.PROJECT_CHANGE, "/admin/projects/{project}/limits", "project", **{"limits/gpus": "2"}
    ),
    "POST /admin/projects/<project>/retention": _form(
        AuditAction.PROJECT_CHANGE, "/admin/projects/{project}/retention", "project", **{"retention/logs_days": "90"}
    ),
    "POST /admin/projects/<project>/members": _form(
        AuditAction.PROJECT_ADD_MEMBER, "/admin/projects/{project}/members", "project", user="outsider"
    ),
    "POST /admin/projects/<project>/members/<user>/remove": _form(
        AuditAction.PROJECT_REMOVE_MEMBER, "/admin/projects/{project}/members/viewer/remove", "project"
    ),
    "POST /admin/webhooks": _form(
        AuditAction.WEBHOOK_CREATE, "/admin/webhooks", url="https://example.org/hook", project=PROJECT,
        events="job.failed",
    ),
    "POST /admin/webhooks/<webhook_id>/delete": _form(
        AuditAction.WEBHOOK_DELETE, "/admin/webhooks/{webhook}/delete", "webhook"
    ),
    "POST /admin/webhooks/<webhook_id>/test": _form(
        AuditAction.WEBHOOK_TEST, "/admin/webhooks/{webhook}/test", "webhook"
    ),
    "POST /admin/webhooks/<webhook_id>/deliveries/<delivery_id>/resend": _form(
        AuditAction.WEBHOOK_RESEND, "/admin/webhooks/{webhook}/deliveries/{delivery}/resend", "delivery"
    ),
}  # fmt: skip


class AuditedLab(Lab):
    """A lab with the admin's token, as which everything is done."""

    def __post_init__(self) -> None:
        super().__post_init__()
        with self.services.database.write() as session:
            new = tokens.issue(session, "boss's browser", self.users["boss"].id)
            self.token, self.boss_token_id = new.secret, new.row.id


@pytest.fixture
def lab(services: Services, make_spec: MakeSpec) -> AuditedLab:
    return AuditedLab(services, make_spec)


@pytest.fixture
def boss(app: Flask, lab: AuditedLab) -> FlaskClient:
    client = app.test_client(use_cookies=False)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {lab.token}"
    client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    client.get("/api/v1/me")  # the use of the token is recorded, which is a write of its own
    return client


def _perform(http: FlaskClient, route: str, write: Write, path: str | None = None) -> TestResponse:
    return http.open(path or write.path, method=route.split()[0], **(write.options or {}))


def _rows(database: Database) -> list[AuditEntry]:
    with database.read() as session:
        return list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


def test_each_route_that_writes_is_here() -> None:
    assert {route for route in LINES if not route.startswith("GET")} == WRITES.keys() - {"GET /login"}


def test_each_action_is_done_here(lab: AuditedLab) -> None:
    assert {make(lab).action for make in WRITES.values()} == set(AuditAction)


@pytest.mark.parametrize("route", WRITES)
def test_what_a_route_does_has_a_row(route: str, boss: FlaskClient, lab: AuditedLab, database: Database) -> None:
    write = WRITES[route](lab)
    answer = _perform(boss, route, write)
    assert answer.status_code < 400, answer.text
    [row] = _rows(database)
    assert (row.action, row.user, row.user_id) == (write.action, "boss", lab.users["boss"].id)
    assert (row.token_id, row.address) == (lab.boss_token_id, "192.0.2.7")
    assert row.target_kind == row.action.split(".")[0]
    assert row.target_id == (write.target or _created(answer))
    assert not re.search("fq_|[A-Za-z0-9_-]{40}", str(row.data)), "no secret is recorded"


def _created(answer: TestResponse) -> str:
    return str(answer.json["id"]) if answer.json else answer.headers["Location"].rpartition("/")[2]


@pytest.mark.parametrize("route", WRITES)
def test_what_is_refused_has_no_row(
    route: str, app: Flask, boss: FlaskClient, lab: AuditedLab, database: Database
) -> None:
    write = WRITES[route](lab)
    refused = [_perform(boss, route, write, write.missing)] if write.missing else []
    stranger = app.test_client(use_cookies=False)
    if not write.path.startswith("/login"):
        refused.append(stranger.open(write.path, method=route.split()[0]))
    if route not in {"GET /login", "POST /login", "POST /logout", "POST /api/v1/login-links"}:
        reader = {**(write.options or {}), "headers": lab.headers("viewer")}
        if route not in {"POST /api/v1/tokens", "POST /account/tokens"}:
            refused.append(stranger.open(write.path, method=route.split()[0], **reader))
    assert [answer.status_code for answer in refused if answer.status_code < 400] == []
    assert _rows(database) == []


def test_what_changes_nothing_has_no_row(boss: FlaskClient, lab: AuditedLab, database: Database) -> None:
    for route in ("pause", "cancel"):
        job_id = lab.job()
        for _ in range(2):
            assert boss.post(f"/api/v1/jobs/{job_id}/{route}").status_code == 202
    assert boss.patch(f"/api/v1/jobs/{lab.job(name='letters')}", json={"name": "letters"}).status_code == 200
    sent = {"json": lab.make_spec().to_json(), "headers": {"Idempotency-Key": "k"}}
    assert [boss.post("/api/v1/jobs", **sent).status_code for _ in range(2)] == [201, 201]
    upload = _upload(lab)
    assert [_perform(boss, "POST", upload).status_code for _ in range(2)] == [201, 200]
    assert boss.patch("/api/v1/users/owner", json={"role": "member"}).status_code == 200
    assert boss.patch(f"/api/v1/projects/{PROJECT}", json={"open": False}).status_code == 200
    assert boss.put(f"/api/v1/projects/{PROJECT}/members/owner").status_code == 200
    assert boss.delete(f"/api/v1/projects/{PROJECT}/members/outsider").status_code == 200
    assert boss.delete(f"/api/v1/workers/{WORKER}/drain").status_code == 200
    expected = [AuditAction.JOB_PAUSE, AuditAction.JOB_CANCEL, AuditAction.JOB_SUBMIT, AuditAction.DATASET_UPLOAD]
    assert [row.action for row in _rows(database)] == expected


# --- Faults -----------------------------------------------------------------------------------------------------------


class CallFails:
    """Lets one call of the database fail: the statement or commit with this number, before it is done or after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.after, self.is_armed = -1, False, False
        for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
            for name in ("do_execute", "do_commit"):
                monkeypatch.setattr(dialect, name, self._failing(getattr(dialect, name)))

    def _failing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(dialect: Any, *arguments: Any, **options: Any) -> Any:
            is_it = self.is_armed and self.left == 0
            self.left -= self.is_armed
            if is_it and not self.after:
                raise dialect.dbapi.OperationalError("a fault that the test has made")
            answer = original(dialect, *arguments, **options)
            if is_it:
                raise dialect.dbapi.OperationalError("a fault that the test has made")
            return answer

        return call

    @contextmanager
    def at(self, number: int, *, after: bool) -> Iterator[None]:
        self.left, self.after, self.is_armed = number, after, True
        yield
        self.is_armed = False

    @property
    def has_failed(self) -> bool:
        return self.left < 0


_NO_ACTION: Final = {
    "tokens": {"last_used_at", "last_used_from"}, "login_sessions": {"last_used_at"}, "datasets": {"last_used_at"},
}  # fmt: skip
"""What the service notes of what is used."""


def _state_of(database: Database) -> dict[str, set[str]]:
    """Return all that the tables hold, but for the audit log and what is not a action."""

    def rows(session: Any, table: Table) -> set[str]:
        columns = [column for column in table.columns if column.name not in _NO_ACTION.get(table.name, ())]
        return {repr(tuple(row)) for row in session.execute(select(*columns))}

    with database.read() as session:
        return {table.name: rows(session, table) for table in Base.metadata.sorted_tables if table.name != "audit_log"}


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("route", WRITES)
def test_an_action_and_its_row_are_there_together_or_not_at_all(
    route: str, after: bool, boss: FlaskClient, lab: AuditedLab, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of the database fails in turn, until the action is done."""
    monkeypatch.setattr(OverdueJobs, "end", lambda *_: None)  # it is not what the user does, and may fail
    write, fails = WRITES[route](lab), CallFails(monkeypatch)
    before, number, is_done = _state_of(database), 0, False
    while not is_done:
        with fails.at(number, after=after):
            _perform(boss, route, write)
        rows = _rows(database)
        is_done = _state_of(database) != before
        assert [row.action for row in rows] == [write.action] * is_done, f"call {number}"
        assert is_done or fails.has_failed
        number += 1
    assert number > 3


# --- The rows stay ----------------------------------------------------------------------------------------------------


def _add(database: Database, count: int = 1, age: timedelta = timedelta(0), **fields: Any) -> None:
    row = {"user": "ada", "action": "job.cancel", "target_kind": "job", "target_id": "job_1", "data": {}}
    with database.write() as session:
        at = clock.now(session) - age
        session.execute(insert(AuditEntry), [{**row, "at": at, **fields} for _ in range(count)])


@pytest.mark.parametrize(
    "statement", [update(AuditEntry).values(user="eve"), delete(AuditEntry), text("UPDATE audit_log SET data = NULL")]
)
def test_the_log_is_append_only(database: Database, statement: Any) -> None:
    _add(database)
    with pytest.raises(DBAPIError, match="append-only"), database.write() as session:
        session.execute(statement)
    assert [row.user for row in _rows(database)] == ["ada"]


def test_old_rows_cannot_be_changed_either_and_the_duty_deletes_them(database: Database) -> None:
    _add(database, AUDIT_ENTRIES + 1, timedelta(days=366))
    _add(database, age=timedelta(days=364), user="eve")
    with pytest.raises(DBAPIError, match="append-only"), database.write() as session:
        session.execute(update(AuditEntry).values(user="eve"))
    purge_audit_log(database, timedelta(days=365), Event())
    assert [row.user for row in _rows(database)] == ["eve"]


# --- The list ---------------------------------------------------------------------------------------------------------


def _list(http: FlaskClient, query: str = "") -> Page[AuditView]:
    answer = http.get(f"{URL}?{query}")
    assert answer.status_code == 200, answer.text
    return Page[AuditView].model_validate_json(answer.data)


def test_the_log_is_filtered_and_comes_in_pages(boss: FlaskClient, database: Database) -> None:
    _add(database, age=timedelta(days=2), user="eve", action="job.pause", target_id="job_2")
    _add(database, user="ada")
    _add(database, user="ada", action="user.create", target_kind="user", target_id="usr_1")
    with database.read() as session:
        yesterday = (clock.now(session) - timedelta(days=1)).isoformat().replace("+", "%2B")
    for query, targets in {
        "": ["usr_1", "job_1", "job_2"], "user=ada": ["usr_1", "job_1"], "action=job": ["job_1", "job_2"],
        "action=job.pause": ["job_2"], "action=jo": [], "target=job_1": ["job_1"], "user=nobody": [],
        f"since={yesterday}": ["usr_1", "job_1"], f"since={yesterday}&action=user": ["usr_1"],
    }.items():  # fmt: skip
        assert [row.target for row in _list(boss, query).data] == targets, query
    first = _list(boss, "limit=2")
    second = _list(boss, f"limit=2&cursor={first.next_cursor}")
    assert [row.target for row in second.data] == ["job_2"]
    assert second.next_cursor is None


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=2026-01-01", "since=2026-01-01T00:00:00", "limit=0", "cursor=x", "x=1",
              "since=9999-12-31T23:59:59-23:00", "since=0001-01-01T00:00:00%2B23:00", "user=%00"]
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_422(boss: FlaskClient, query: str) -> None:
    assert boss.get(f"{URL}?{query}").status_code == 422
