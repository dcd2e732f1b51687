"""A whole worker that tells a receiver how a job ended."""

from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from fitqueue.webhooks import DEFAULT_EVENTS, WebhookKind
from service.db import Database
from service.models import ADMIN_ID
from service.store import actions, webhooks
from tests.integration.fixture_types import Submit
from tests.integration.workers.test_worker import settings
from tests.receivers import Receiver

__all__ = ["settings"]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def test_a_worker_tells_a_receiver_that_a_job_was_cancelled(
    database: Database, settings: dict[str, Any], tmp_path: Path, run_worker: Any, submit: Submit
) -> None:
    job_id = submit(resources={"pool": "nobody"})
    with Receiver() as receiver:
        with database.write() as session:
            webhook = webhooks.create(
                session, WebhookKind.WEBHOOK, receiver.url, DEFAULT_EVENTS, owner_id=ADMIN_ID,
                service_url="https://q.example.org", job_id=job_id,
            )  # fmt: skip
        with run_worker(database, tmp_path, **settings, webhook_networks="127.0.0.0/8"):
            with database.write() as session:
                actions.cancel(session, job_id)
            [request] = receiver.wait_for(1)
    payload = Webhook(webhook.secret or "").verify(request.body, dict(request.headers))
    assert (payload["type"], payload["data"]["id"]) == ("job.cancelled", job_id)
