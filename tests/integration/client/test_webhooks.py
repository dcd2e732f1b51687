"""Webhooks by the client and by the command line, with a real service."""

import json
from typing import Any

import pytest

from fitqueue.client import Client
from fitqueue.errors import DeliveryNotFound, InvalidRequest, ProjectNotFound, WebhookDisabled, WebhookNotFound
from fitqueue.states import Reason
from fitqueue.webhooks import DEFAULT_EVENTS, DeliveryState, WebhookEvent, WebhookKind
from service.store import webhook_leases
from service.store.webhook_leases import Leased
from service.webhooks.outcome import Outcome, Verdict

URL = "https://ci.example.org/hook"


def _send(service: Any, outcome: Outcome) -> list[Leased]:
    """Send what is due, as a worker would to a receiver that answers so."""
    with service.database.write() as session:
        leased = webhook_leases.lease_due(session, 100)
        for one in leased:
            webhook_leases.record(session, one, outcome)
    return leased


def test_the_client_creates_webhooks_and_reads_what_came_of_them(
    client: Client, service: Any, job: dict[str, Any]
) -> None:
    job_id = client.submit(job).id
    webhook = client.add_webhook(URL, job=job_id)
    assert (webhook.secret or "").startswith("whsec_")
    assert (webhook.kind, webhook.events) == (WebhookKind.WEBHOOK, list(DEFAULT_EVENTS))
    other = client.add_webhook(f"{URL}?key=x", project="lab", kind="slack", events=["job.requeued"])
    assert [row.id for row in client.webhooks()] == [other.id, webhook.id]
    assert [row.id for row in client.webhooks(job=job_id)] == [webhook.id]
    assert client.webhook(other.id).url == "https://ci.example.org/…"
    service.claim().finish(Reason.NAN_LOSS, "The loss became NaN.")
    [leased] = _send(service, Outcome(Verdict.RETRY, "503 Service Unavailable"))
    # The links are at the address by which the client reached the service, which is below a path.
    assert leased.message.payload["data"]["url"] == f"{service.url}/jobs/{job_id}"
    [delivery] = client.deliveries(webhook.id)
    assert (delivery.event, delivery.state, delivery.tries) == (WebhookEvent.JOB_FAILED, DeliveryState.PENDING, 1)
    assert client.resend_delivery(webhook.id, delivery.id).tries == 0
    assert client.test_webhook(webhook.id).event is WebhookEvent.WEBHOOK_TEST
    client.remove_webhook(webhook.id)
    assert [row.id for row in client.webhooks()] == [other.id]


def test_what_the_service_refuses_is_raised(client: Client, service: Any) -> None:
    webhook = client.add_webhook(URL, project="lab")
    with pytest.raises(InvalidRequest, match="not public"):
        client.add_webhook("http://127.0.0.1:9000/", project="lab")
    with pytest.raises(InvalidRequest, match="for the jobs of a project, or for one job"):
        client.add_webhook(URL)
    with pytest.raises(ProjectNotFound):
        client.add_webhook(URL, project="nothing")
    with pytest.raises(WebhookNotFound):
        client.webhook("wh_none")
    with pytest.raises(DeliveryNotFound):
        client.resend_delivery(webhook.id, "msg_none")
    client.test_webhook(webhook.id)
    _send(service, Outcome(Verdict.GONE, "410 Gone"))
    with pytest.raises(WebhookDisabled):
        client.test_webhook(webhook.id)


def test_the_commands(run: Any, client: Client, service: Any, job: dict[str, Any]) -> None:
    job_id = client.submit(job).id
    code, out, err = run("webhook", "add", URL, "--event", "job.failed", "--event", "diagnosis.changed")
    assert code == 0
    words = out.split()
    assert words[0] == "Webhook"
    assert words[2] == "Secret"
    assert words[3].startswith("whsec_")
    webhook_id = words[1]
    assert f"fitqueue webhook test {webhook_id}" in err
    assert client.webhook(webhook_id).project == "lab"
    created = json.loads(run("webhook", "add", URL, "--job", "latest", "--json")[1])
    assert created["job"] == job_id
    listed = run("webhook", "list")[1]
    assert "ci.example.org" in listed
    assert words[3] not in listed
    assert [row["id"] for row in json.loads(run("webhook", "list", "--job", "latest", "--json")[1])] == [created["id"]]
    assert run("webhook", "deliveries", webhook_id)[:2] == (0, "")
    code, delivery_id, err = run("webhook", "test", webhook_id)
    assert (code, delivery_id[:4]) == (0, "msg_")
    _send(service, Outcome(Verdict.DELIVERED, "200 OK"))
    assert "delivered" in run("webhook", "deliveries", webhook_id)[1]
    assert run("webhook", "resend", webhook_id, delivery_id.strip())[:2] == (0, delivery_id)
    [delivery] = json.loads(run("webhook", "deliveries", webhook_id, "--json")[1])
    assert delivery["state"] == "pending"
    assert run("webhook", "remove", webhook_id, "wh_none")[0] == 3
    assert [row.id for row in client.webhooks()] == [created["id"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "http://10.0.0.1/"], "not public"),
        (["add", "mailto:ada@example.org"], "FITQUEUE_SMTP_URL"),
        (["add", URL, "--event", "job.done"], "job.done"),
        (["add", URL, "--event", "webhook.test"], "webhook.test"),
        (["add", URL, "--kind", "sms"], "sms"),
        (["add", URL, "--project", "lab", "--job", "latest"], "exclude each other"),
        (["add", URL, "--job", "nothing"], "There is no job 'nothing'"),
        (["deliveries", "wh_none"], "You have no webhook 'wh_none'"),
    ],
)
def test_what_cannot_be_done_is_said(run: Any, arguments: list[str], message: str) -> None:
    code, out, err = run("webhook", *arguments)
    assert (code, out) == (3, "")
    assert message in err
