"""`fitqueue audit` and `client.audit`."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from fitqueue.cli import main
from fitqueue.client import Client
from tests.integration.client.conftest import Served
from tests.small_job import small_job


def test_the_log_is_shown_and_filtered(
    service: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITQUEUE_URL", service.url)
    monkeypatch.setenv("FITQUEUE_TOKEN", service.token)
    with Client(service.url, service.token) as client:
        job = client.submit(small_job(3))
        client.pause(job.id)
        client.login_link()
        now = datetime.now(UTC)
        assert [entry.action for entry in client.audit(action="job")] == ["job.pause", "job.submit"]
        assert [entry.target for entry in client.audit(action="job.pause", since=now - timedelta(hours=1))] == [job.id]
        assert list(client.audit(since=now + timedelta(hours=1))) == []
    assert main(["audit", "--target", job.id]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["AT", "USER", "ACTION", "TARGET", "FROM", "DETAILS"]
    assert [row.split()[2:6] for row in rows] == [
        ["admin", "job.pause", job.id, "127.0.0.1"],
        ["admin", "job.submit", job.id, "127.0.0.1"],
    ]
    assert rows[1].endswith("project: lab")
    assert main(["audit", "--user", "admin", "--since", "2020-01-01", "--limit", "1", "--json"]) == 0
    [entry] = json.loads(capsys.readouterr().out)
    assert entry["action"] == "login.create_link"
    assert main(["audit", "--since", "yesterday"]) != 0
