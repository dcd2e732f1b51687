"""What a shell completes beside commands and options, with a real service."""

from typing import Any

import click
import numpy as np
import pytest
from click.shell_completion import ShellComplete

from fitqueue import cli
from fitqueue.cli import completion
from fitqueue.cli.completion import add_completions
from fitqueue.cli.job_names import short_ids
from fitqueue.client import Client


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell waits two seconds, a test for as long as a slow machine takes."""
    monkeypatch.setattr(completion, "_SECONDS", 60.0)


def completed(line: str) -> list[str]:
    """Return what the last word of a line may become."""
    *words, incomplete = line.split(" ")
    shell = ShellComplete(cli.cli, {}, "fitqueue", "_FITQUEUE_COMPLETE")
    return [item.value for item in shell.get_completions(words, incomplete)]


def test_jobs_data_sets_pools_and_workers_are_completed(
    service: Any, client: Client, job: dict[str, Any], run: Any, tmp_path: Any
) -> None:
    names = ["first", "two words", "same", "same", "手写数字"]
    ids = [client.submit({**job, "name": name}).id for name in names]
    first, spaced, same, other, chinese = (short_ids(ids)[id] for id in ids)
    client.cancel(ids[0])
    service.claim()
    assert completed("show ") == ["latest", "手写数字", chinese, other, same, spaced, "first", first]
    assert completed("show fi") == completed("delete f") == ["first"]
    assert completed("cancel ") == ["手写数字", chinese, other, same, spaced]
    assert completed("cancel first ") == completed("cancel ")
    assert completed("resume ") == []
    np.savez(tmp_path / "letters.npz", x=np.zeros(3))
    client.upload(tmp_path / "letters.npz", "letters")
    assert completed("dataset remove ") == ["letters"]
    assert completed("dataset show le") == completed("jobs --dataset le") == ["letters"]
    assert completed("queue --pool ") == ["default"]
    command = click.Command("drain", params=[click.Argument(["workers"], nargs=-1)])
    add_completions(command)
    items = command.params[0].shell_complete(click.Context(command), "")
    assert [item.value for item in items] == ["gpu-box", "wk_1"]


def test_users_projects_and_tokens_are_completed(
    client: Client, job: dict[str, Any], run: Any, log_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create_project("vision", open=False)
    log_in("ada").submit(job)
    client.create_user("grace")
    client.change_user("grace", disabled=True)
    assert completed("user change ") == completed("token list --user ") == ["ada", "admin", "grace"]
    assert completed("user enable ") == ["grace"]
    assert completed("user disable a") == ["ada", "admin"]
    assert completed("jobs --owner ") == completed("dataset list --owner ") == ["ada"]
    assert completed("submit job.json --project ") == completed("project change ") == ["lab", "vision"]
    assert completed("project add-member vision a") == ["ada", "admin"]
    assert completed("token revoke ") == [client.me().token.id]
    monkeypatch.setenv("FITQUEUE_TOKEN", client.create_token("phone", user="ada").token)
    assert completed("token list --user ") == [], "only admins may list users"
    assert completed("jobs --owner ") == ["ada"]
    assert completed("jobs --project ") == ["lab"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense"])
def test_without_a_service_nothing_is_completed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_URL", url)
    assert completed("show ") == completed("dataset show ") == []
    assert completed("jobs --state q") == ["queued"]
