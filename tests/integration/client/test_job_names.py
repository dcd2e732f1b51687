"""How the command line finds the job that a word means, with a real service."""

import json
from typing import Any

import pytest

from fitqueue.cli.job_names import find_job, short_ids
from fitqueue.client import Client
from fitqueue.client.transport import Transport
from fitqueue.errors import JobNotFound


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the requests that are sent."""
    sent: list[str] = []
    send = Transport.request

    def counted(transport: Transport, call: Any) -> Any:
        sent.append(call.path)
        return send(transport, call)

    monkeypatch.setattr(Transport, "request", counted)
    return sent


def test_a_job_is_found_by_its_id_its_beginning_its_name_and_as_the_latest(
    client: Client, job: dict[str, Any], requests: list[str]
) -> None:
    ids = [client.submit({**job, "name": name}).id for name in ("first", "same", "same", "last")]
    requests.clear()
    assert find_job(client, ids[0]) == ids[0]
    assert requests == []
    short = short_ids(ids)
    assert len(set(short.values())) == len(ids)
    for id, beginning in short.items():
        assert id.startswith(beginning)
        assert find_job(client, beginning) == id
    assert find_job(client, "first") == ids[0]
    assert find_job(client, "latest") == ids[-1]


def test_what_is_not_clear_is_refused_with_the_candidates(client: Client, job: dict[str, Any]) -> None:
    with pytest.raises(JobNotFound, match="There is no job yet"):
        find_job(client, "latest")
    ids = [client.submit({**job, "name": "same"}).id for _ in range(6)]
    for word in ("same", ids[0][:8]):
        with pytest.raises(JobNotFound) as caught:
            find_job(client, word)
        lines = caught.value.message.splitlines()
        assert lines[0] == f"'{word}' may be one of several jobs; use more of its id:"
        assert [line.split() for line in lines[1:-1]] == [[id, "queued", "same"] for id in ids[:0:-1]]
        assert lines[-1] == "  … and more"


@pytest.mark.parametrize("word", ["", "nobody", "job_none", "job_zz", "job_0000", "job_" + "0" * 23, "a/b?c=d", "*"])
def test_what_does_not_exist(client: Client, job: dict[str, Any], word: str) -> None:
    client.submit(job)
    with pytest.raises(JobNotFound) as caught:
        find_job(client, word)
    assert caught.value.message == f"There is no job '{word}'."


def test_every_command_that_takes_a_job_takes_its_name(
    run: Any, client: Client, service: Any, job: dict[str, Any], tmp_path: Any
) -> None:
    submitted = client.submit(job)
    worker = service.claim()
    worker.epoch(1, 0.5)
    worker.snapshot(1)
    worker.checkpoint(["best", "last"], 1, b"weights", 1.0)
    worker.finish()
    for command in ("watch", "show", "metrics", "checkpoints", "artifacts", "logs", "events"):
        assert run(command, "digits")[0] == 0, command
    assert run("weights", "latest")[1] == f"{submitted.id}-best.weights.h5\n"
    assert f"/jobs/{submitted.id}" in run("open", "digits", "--print")[1].replace("%2F", "/")
    assert run("extend", "digits", "--epochs", "2")[2].startswith(f"{submitted.id}: queued")
    assert run("pause", "digits")[2] == "digits: paused\n"
    assert run("resume", "digits")[2] == "digits: queued\n"
    assert run("cancel", "digits")[2] == "digits: cancelled\n"
    assert run("delete", "latest")[2] == "latest: deleted\n"
    assert json.loads(run("jobs", "--json")[1]) == []
