"""Webhooks by the API: who may, where to, what is shown, and what a worker sends."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from standardwebhooks import Webhook

from fitqueue.roles import Role, Scope
from fitqueue.states import Reason
from service.app import create_app
from service.db import Database
from service.delivering import deliver_due, make_sender, purge_deliveries
from service.processes import free_port
from service.settings import Settings
from service.store import attempt_outcomes, jobs, leases, projects, tokens, users
from service.store.leases import Lease
from service.webhooks.sender import Sender
from tests.integration.fixture_types import AdvanceClock, MakeSpec
from tests.receivers import MailReceiver, Receiver
from tests.waiting import until

URL = "/api/v1/webhooks"
GONE = b"HTTP/1.1 410 Gone\r\n\r\n"
NOW_AND_AGAIN = 90_000.0

AsUser = Callable[..., FlaskClient]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_networks": ("127.0.0.0/8",)})


@pytest.fixture
def sender(settings: Settings) -> Sender:
    return make_sender(settings)


@pytest.fixture
def as_user(app: Flask, database: Database) -> AsUser:
    """A function that returns a client of a new user."""

    def client(name: str, role: Role = Role.MEMBER, scope: Scope = Scope.ALL) -> FlaskClient:
        with database.write() as session:
            user = users.find(session, name) or users.create(session, name, role)
            secret = tokens.issue(session, name, user.id, scope=scope).secret
        http = app.test_client()
        http.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
        return http

    return client


@pytest.fixture
def job_of_ada(as_user: AsUser, database: Database, make_spec: MakeSpec) -> str:
    """The id of a job of the user `ada` in the project `lab`."""
    as_user("ada")
    with database.write() as session:
        return jobs.create(session, make_spec(), [], owner_id=users.get(session, "ada").id).id


def _create(http: FlaskClient, url: str = "https://ci.example.org/hook", **fields: Any) -> Any:
    body = {"url": url, **({} if {"project", "job"} & fields.keys() else {"project": "lab"}), **fields}
    answer = http.post(URL, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json


def _finish(database: Database, lease: Lease, reason: Reason = Reason.COMPLETED) -> None:
    with database.write() as session:
        assert attempt_outcomes.finish(session, lease, reason, "The training ended.")


def _deliveries(http: FlaskClient, webhook_id: str) -> Any:
    return (http.get(f"{URL}/{webhook_id}/deliveries").json or {})["data"]


# --- Who may -------------------------------------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_nowhere_else(http: FlaskClient, log_lines: list[str], database: Database) -> None:
    created = _create(http, "https://hooks.slack.com/services/T0/B0/channel-key", kind="slack")
    assert created["secret"] is None
    created = _create(http, "https://ci.example.org/hook?key=query-key", events=["job.failed"])
    secret = created["secret"]
    assert secret.startswith("whsec_")
    assert (created["url"], created["events"]) == ("https://ci.example.org/hook?…", ["job.failed"])
    answers = [http.get(URL), http.get(f"{URL}/{created['id']}"), http.post(f"{URL}/{created['id']}/test")]
    answers.append(http.get(f"{URL}/{created['id']}/deliveries"))
    deliver_due(database, Sender(), Event())
    answers.append(http.get(f"{URL}/{created['id']}/deliveries"))
    everything = "".join([*(answer.text for answer in answers), *log_lines])
    assert [word for word in (secret, secret[6:], "query-key", "channel-key") if word in everything] == []
    assert any("A delivery was tried." in line for line in log_lines)


def test_a_webhook_of_somebody_else_does_not_exist(as_user: AsUser, http: FlaskClient) -> None:
    ada, eve = as_user("ada"), as_user("eve")
    webhook = _create(ada)
    delivery: Any = ada.post(f"{URL}/{webhook['id']}/test").json
    path = f"{URL}/{webhook['id']}"
    requests = [
        ("GET", path), ("DELETE", path), ("POST", f"{path}/test"), ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/deliveries/{delivery['id']}/resend"),
    ]  # fmt: skip
    answers = [eve.open(url, method=method) for method, url in requests]
    assert [(answer.status_code, answer.json["code"]) for answer in answers] == [(404, "webhook_not_found")] * 5
    unknown = eve.get(f"{URL}/wh_none")
    assert (
        unknown.text.replace("wh_none", webhook["id"]).partition('"request_id"')[0]
        == answers[0].text.partition('"request_id"')[0]
    )
    assert eve.get(URL).json == {"data": [], "next_cursor": None}
    assert [row["id"] for row in ada.get(URL).json["data"]] == [webhook["id"]]
    assert http.get(path).json["owner"] == "ada", "admins see all"
    assert ada.delete(path).status_code == 204


def test_a_job_has_webhooks_of_its_owner_and_of_admins(as_user: AsUser, http: FlaskClient, job_of_ada: str) -> None:
    ada, eve = as_user("ada"), as_user("eve")
    own = _create(ada, job=job_of_ada)
    of_admin = _create(http, job=job_of_ada)
    refused = eve.post(URL, json={"url": "https://ci.example.org/", "job": job_of_ada})
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    listed = ada.get(URL, query_string={"job": job_of_ada}).json["data"]
    assert [row["id"] for row in listed] == [of_admin["id"], own["id"]], "the owner of a job sees who is told of it"


def test_what_a_user_does_not_see_gets_no_webhook(as_user: AsUser, database: Database, make_spec: MakeSpec) -> None:
    eve = as_user("eve")
    with database.write() as session:
        secret = projects.create(session, "secret", is_open=False)
        job_id = jobs.create(session, make_spec(), [], project_id=secret.id).id
    for subject, code in (({"project": "secret"}, "project_not_found"), ({"job": job_id}, "job_not_found")):
        answer = eve.post(URL, json={"url": "https://ci.example.org/", **subject})
        assert (answer.status_code, answer.json["code"]) == (404, code)
    assert eve.get(URL, query_string={"project": "secret"}).status_code == 404


def test_viewers_and_narrow_tokens_create_none(as_user: AsUser) -> None:
    for client in (as_user("vera", Role.VIEWER), as_user("ada", scope=Scope.SUBMIT)):
        assert client.post(URL, json={"url": "https://ci.example.org/", "project": "lab"}).status_code == 403
        assert client.get(URL).status_code == 200


# --- What is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"url": "https://ci.example.org/"}, "", "project_or_job"),
        ({"url": "https://ci.example.org/", "project": "lab", "job": "job_1"}, "", "project_or_job"),
        ({"url": "ftp://ci.example.org/", "project": "lab"}, "/url", "invalid_url"),
        ({"url": "http://169.254.169.254/", "project": "lab"}, "/url", "forbidden_address"),
        ({"url": "http://[::ffff:10.0.0.1]/", "project": "lab"}, "/url", "forbidden_address"),
        ({"url": "http://167772161/", "project": "lab"}, "/url", "forbidden_address"),
        ({"url": "mailto:ada@example.org", "project": "lab"}, "/url", "no_mail"),
        ({"url": "https://x.org", "project": "lab", "events": ["webhook.test"]}, "/events", "invalid_event"),
        ({"url": "https://x.org", "project": "lab", "events": []}, "/events", "too_short"),
        ({"url": "https://x.org", "project": "lab", "events": ["job.done"]}, "/events/0", "enum"),
        ({"url": "https://x.org", "project": "lab", "kind": "sms"}, "/kind", "enum"),
        ({"url": "https://x.org", "project": "lab", "secret": "x"}, "/secret", "extra_forbidden"),
        ({"project": "lab"}, "/url", "missing"),
    ],
)
def test_what_cannot_be_sent_to_is_refused_with_its_reason(
    http: FlaskClient, body: dict[str, Any], pointer: str, code: str
) -> None:
    answer = http.post(URL, json=body)
    assert answer.status_code == 422, answer.text
    assert [(fault["pointer"], fault["code"]) for fault in answer.json["errors"]] == [(pointer, code)]


def test_pages_of_a_list(http: FlaskClient) -> None:
    ids = [_create(http)["id"] for _ in range(3)][::-1]
    first: Any = http.get(URL, query_string={"limit": 2}).json
    second: Any = http.get(URL, query_string={"limit": 2, "cursor": first["next_cursor"]}).json
    assert [row["id"] for row in first["data"] + second["data"]] == ids
    assert second["next_cursor"] is None


# --- What is sent --------------------------------------------------------------------------------------------------


def test_the_end_of_a_job_arrives_signed(http: FlaskClient, database: Database, lease: Lease, sender: Sender) -> None:
    with Receiver() as receiver:
        webhook = _create(http, receiver.url, job=lease.job_id)
        _finish(database, lease, Reason.NAN_LOSS)
        deliver_due(database, sender, Event())
        deliver_due(database, sender, Event())
        [request] = receiver.wait_for(1)
    payload = Webhook(webhook["secret"]).verify(request.body, dict(request.headers))
    assert payload["type"] == "job.failed"
    assert payload["data"]["url"] == f"http://localhost/jobs/{lease.job_id}"
    [delivery] = _deliveries(http, webhook["id"])
    assert delivery["id"] == request.headers["webhook-id"]
    assert delivery["payload"] == payload
    assert (delivery["state"], delivery["tries"], delivery["last_status"]) == ("delivered", 1, "200 OK")
    assert (delivery["job"], delivery["next_try_at"]) == (lease.job_id, None)


def test_a_receiver_that_is_down_gets_the_message_later_and_once_more_by_hand(
    http: FlaskClient, database: Database, sender: Sender, advance_clock: AdvanceClock
) -> None:
    with Receiver(answer=b"HTTP/1.1 500 Oh\r\n\r\n") as receiver:
        webhook = _create(http, receiver.url)
        sent: Any = http.post(f"{URL}/{webhook['id']}/test").json
        assert (sent["state"], sent["event"], sent["job"]) == ("pending", "webhook.test", None)
        deliver_due(database, sender, Event())
        [delivery] = _deliveries(http, webhook["id"])
        assert (delivery["state"], delivery["last_status"]) == ("pending", "500 Internal Server Error")
        receiver.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        advance_clock(NOW_AND_AGAIN)
        deliver_due(database, sender, Event())
        resent = http.post(f"{URL}/{webhook['id']}/deliveries/{sent['id']}/resend")
        assert (resent.status_code, resent.json["state"]) == (202, "pending")
        deliver_due(database, sender, Event())
        requests = receiver.wait_for(3)
    assert {request.headers["webhook-id"] for request in requests} == {sent["id"]}
    assert len({request.body for request in requests}) == 1
    for request in requests:
        Webhook(webhook["secret"]).verify(request.body, dict(request.headers))


def test_a_receiver_that_answers_410_is_left_alone(http: FlaskClient, database: Database, sender: Sender) -> None:
    with Receiver(answer=GONE) as receiver:
        webhook = _create(http, receiver.url)
        path = f"{URL}/{webhook['id']}"
        sent: Any = http.post(f"{path}/test").json
        deliver_due(database, sender, Event())
        receiver.wait_for(1)
    assert http.get(path).json["disabled_at"] is not None
    [delivery] = _deliveries(http, webhook["id"])
    assert (delivery["state"], delivery["last_status"]) == ("failed", "410 Gone")
    for url in (f"{path}/test", f"{path}/deliveries/{sent['id']}/resend"):
        assert (http.post(url).status_code, http.post(url).json["code"]) == (409, "webhook_disabled")
    assert http.delete(path).status_code == 204


def test_a_redirect_to_a_private_address_is_not_followed(http: FlaskClient, database: Database, sender: Sender) -> None:
    with Receiver() as private:
        location = f"HTTP/1.1 307 Moved\r\nLocation: {private.url}\r\nContent-Length: 0\r\n\r\n"
        with Receiver(answer=location.encode()) as receiver:
            webhook = _create(http, receiver.url)
            http.post(f"{URL}/{webhook['id']}/test")
            deliver_due(database, sender, Event())
            receiver.wait_for(1)
        assert private.requests == []
    [delivery] = _deliveries(http, webhook["id"])
    assert delivery["last_status"] == "307 Temporary Redirect; redirects are not followed"


def test_a_network_that_is_no_longer_listed_gets_nothing(http: FlaskClient, database: Database) -> None:
    with Receiver() as receiver:
        webhook = _create(http, receiver.url)
        http.post(f"{URL}/{webhook['id']}/test")
        deliver_due(database, Sender(), Event())
        assert receiver.requests == []
    [delivery] = _deliveries(http, webhook["id"])
    assert (delivery["state"], delivery["last_status"]) == ("pending", "refused: the host has no public address")


def test_a_receiver_that_hangs_does_not_keep_others_waiting(
    http: FlaskClient, database: Database, settings: Settings
) -> None:
    networks = make_sender(settings).networks
    with Receiver() as slow, Receiver() as quick:
        slow.answer = slow.hang
        for receiver in (slow, quick):
            webhook = _create(http, receiver.url)
            for _ in range(3):
                http.post(f"{URL}/{webhook['id']}/test")
        deliver_due(database, Sender(networks, seconds=1.0), Event())
        assert len(quick.wait_for(3)) == len(slow.requests) == 3
    assert {row["state"] for row in _deliveries(http, webhook["id"])} == {"delivered"}


def test_a_mail_is_sent_by_the_server_of_the_settings(
    database: Database, settings: Settings, token: str, lease: Lease
) -> None:
    with MailReceiver() as receiver:
        changes = {"smtp_url": f"smtp://127.0.0.1:{receiver.port}", "mail_from": "fitqueue@example.org"}
        changed = settings.model_copy(update=changes)
        http = create_app(changed).test_client()
        http.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        webhook = _create(http, "mailto:ada@example.org", job=lease.job_id)
        assert (webhook["kind"], webhook["secret"]) == ("mail", None)
        _finish(database, lease)
        deliver_due(database, make_sender(changed), Event())
        [mail] = receiver.mails
    assert "To: ada@example.org" in mail
    assert f"http://localhost/jobs/{lease.job_id}" in mail


def test_the_receiver_of_the_documents_verifies_what_is_sent(
    http: FlaskClient, database: Database, sender: Sender
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    port = free_port(0)
    webhook = _create(http, f"http://127.0.0.1:{port}/")
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program.replace("9000", str(port))],
        env=os.environ | {"SECRET": webhook["secret"]}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: _answers(port), 60, "the receiver answers")
        http.post(f"{URL}/{webhook['id']}/test")
        deliver_due(database, sender, Event())
        [delivery] = _deliveries(http, webhook["id"])
        assert delivery["last_status"] == "204 No Content"
    finally:
        process.kill()
        output, _ = process.communicate()
    assert output == "webhook.test If you can read this, it works.\n"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_old_deliveries_are_purged(
    http: FlaskClient, database: Database, sender: Sender, advance_clock: AdvanceClock
) -> None:
    with Receiver() as receiver:
        webhook = _create(http, receiver.url)
        http.post(f"{URL}/{webhook['id']}/test")
        deliver_due(database, sender, Event())
    purge_deliveries(database, Event())
    assert len(_deliveries(http, webhook["id"])) == 1
    advance_clock(31 * 86_400)
    purge_deliveries(database, Event())
    assert _deliveries(http, webhook["id"]) == []


def test_the_payload_is_json_that_any_program_reads(
    http: FlaskClient, database: Database, lease: Lease, sender: Sender
) -> None:
    with Receiver() as receiver:
        _create(http, receiver.url)
        with database.write() as session:
            job = leases.held_job(session, lease)
            job.best_epoch, job.best_monitor, job.best_value = 1, "val_loss", float("nan")
        _finish(database, lease)
        deliver_due(database, sender, Event())
        [request] = receiver.wait_for(1)
    payload = json.loads(request.body, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert payload["data"]["best"] == {"epoch": 1, "monitor": "val_loss", "value": None}
