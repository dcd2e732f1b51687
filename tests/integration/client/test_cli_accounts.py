"""`fitqueue user`, `token`, `project` and `me`: by the API, and on the database where the service runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitqueue.cli.failures import NO_SERVICE, REFUSED
from fitqueue.client import Client
from tests.unit.docs.pages import ROOT, section, text_of

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def on_the_database(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment as that of the service: it names the database, and no address."""
    monkeypatch.delenv("FITQUEUE_URL", raising=False)
    monkeypatch.delenv("FITQUEUE_TOKEN", raising=False)
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", f"sqlite:///{service.folder}/fitqueue.db")


@pytest.fixture(params=["api", "database"])
def anywhere(run: Run, request: pytest.FixtureRequest) -> Run:
    """A function that runs a command line: once by the API, once where the service runs."""
    if request.param == "database":
        request.getfixturevalue("on_the_database")
    return run


def test_users_and_tokens_are_the_same_by_the_api_and_in_the_database(
    anywhere: Run, service: Any, client: Client
) -> None:
    code, out, err = anywhere("user", "add", "ada")
    assert (code, out) == (0, "")
    assert err == "Added ada, member. They need a token: fitqueue token create NAME --user ada\n"
    heading, ada, admin = (line.split() for line in anywhere("user", "list")[1].splitlines())
    assert heading == ["NAME", "ROLE", "SHARE", "PRIORITY", "ADDED"]
    assert (ada[:5], admin[:4]) == (["ada", "member", "1", "to", "0"], ["admin", "admin", "1", "any"])
    code, out, err = anywhere("token", "create", "laptop", "--user", "ada", "--scope", "submit", "--expires", "90")
    assert code == 0
    assert re.fullmatch(r"A token of ada, scope submit, valid until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\n", err)
    with Client(service.url, out.strip()) as user:
        me = user.me()
        assert (me.user.name, me.token.scope) == ("ada", "submit")
        assert me.token.expires_at is not None
        [row] = json.loads(anywhere("token", "list", "--user", "ada", "--json")[1])
        assert (row["id"], row["user"]) == (me.token.id, "ada")
        assert anywhere("user", "change", "ada", "--role", "viewer", "--max-priority", "5")[2] == (
            "ada: viewer, share 1, priority 5 at most.\n"
        )
        assert (user.me().user.role, user.me().user.max_priority) == ("viewer", 5)
        assert anywhere("user", "disable", "ada")[2] == "ada: disabled.\n"
        assert "DISABLED" in anywhere("user", "list")[1]
        assert anywhere("user", "enable", "ada")[2] == "ada: enabled.\n"
        assert user.me().user.disabled_at is None
        assert anywhere("token", "revoke", me.token.id) == (0, "", f"Revoked {me.token.id}.\n")
        assert "REVOKED" in anywhere("token", "list", "--user", "ada")[1]


def test_limits_are_set_anywhere_and_shown_to_the_user(anywhere: Run, client: Client, run: Run) -> None:
    assert anywhere("user", "change", "admin", "--limit", "running_jobs=4", "--limit", "gpus=2")[0] == 0
    assert anywhere("user", "change", "admin", "--limit", "gpus=none")[0] == 0
    limits = client.me().user.limits
    assert (limits.running_jobs, limits.gpus) == (4, None)
    assert client.change_user("admin", limits={"running_jobs": None}).limits.running_jobs is None


def test_a_project_gets_limits_and_a_retention(run: Run, client: Client) -> None:
    code, _, err = run("project", "change", "lab", "--limit", "gpus=8", "--retention", "logs_days=90")
    assert (code, err) == (0, "lab: open, share 1.\n")
    [lab] = client.projects()
    assert (lab.limits.gpus, lab.retention.logs_days, lab.retention.snapshots_days) == (8, 90, 30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["user", "add", "admin"], "Error: Another user already has the name 'admin'."),
        (["user", "add", "Ada"], "  /name: Expected 1 to 64 lower-case letters"),
        (["user", "change", "nobody", "--share", "2"], "Error: There is no user 'nobody'."),
        (["user", "change", "admin", "--share", "0"], "  /share: "),
        (["user", "change", "admin"], "expected --role, --share, --max-priority or --limit."),
        (["user", "change", "admin", "--role", "member"], "Error: admin is the last admin"),
        (["user", "disable", "admin"], "Error: admin is the last admin"),
        (["token", "create", "x", "--user", "nobody"], "Error: There is no user 'nobody'."),
        (["token", "create", "x", "--expires", "0"], "  /expires_in_days: "),
        (["token", "create", "x" * 129], "  /name: "),
        (["token", "list", "--user", "nobody"], "Error: There is no user 'nobody'."),
        (["token", "revoke", "tok_none"], "Error: There is no valid token with the id 'tok_none'."),
    ],
)
def test_what_is_refused_is_said_in_the_same_words(anywhere: Run, arguments: list[str], message: str) -> None:
    code, out, err = anywhere(*arguments)
    assert (code, out) == (REFUSED, "")
    assert message in err


def test_without_a_user_a_token_is_ones_own_or_that_of_admin(
    anywhere: Run, service: Any, client: Client, log_in: Callable[..., Client]
) -> None:
    log_in("ada")
    code, token, err = anywhere("token", "create", "mine")
    assert (code, err) == (0, "A token of admin, scope all.\n")
    with Client(service.url, token.strip()) as created:
        assert created.me().user.name == "admin"
    users = {row["user"] for row in json.loads(anywhere("token", "list", "--json")[1])}
    assert users == ({"admin", "ada"} if "FITQUEUE_DATABASE_URL" in os.environ else {"admin"})


def test_an_address_goes_before_a_database_in_a_folder_above(
    run: Run, service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var").mkdir()
    shutil.copy(service.folder / "fitqueue.db", tmp_path / "var" / "fitqueue.db")
    assert run("user", "add", "ada")[0] == 0
    monkeypatch.delenv("FITQUEUE_URL")
    assert run("user", "list")[1].count("ada") == 0
    assert run("user", "add", "grace")[0] == 0
    monkeypatch.setenv("FITQUEUE_URL", service.url)
    assert [row["name"] for row in json.loads(run("user", "list", "--json")[1])] == ["ada", "admin"]


def test_where_neither_is_known_both_are_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FITQUEUE_URL")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    code, out, err = run("token", "list")
    assert (code, out) == (NO_SERVICE, "")
    assert "fitqueue login" in err
    assert "FITQUEUE_DATABASE_URL" in err


def test_a_machine_with_the_client_alone_uses_the_api(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fitqueue.cli.accounts.entry_points", lambda **query: [])
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", "sqlite:///nowhere.db")
    assert run("user", "add", "ada")[0] == 0
    assert [row["name"] for row in json.loads(run("user", "list", "--json")[1])] == ["ada", "admin"]


def test_projects_and_their_members(
    run: Run, client: Client, log_in: Callable[..., Client], job: dict[str, Any], tmp_path: Path
) -> None:
    log_in("ada")
    assert run("project", "add", "vision", "--closed") == (0, "", "Added vision, closed.\n")
    code, _, err = run("project", "add-member", "vision", "ada", "nobody")
    assert (code, err) == (REFUSED, "ada: member of vision\nError: There is no user 'nobody'.\n")
    assert [line.split() for line in run("project", "list")[1].splitlines()] == [
        ["NAME", "SEEN", "BY", "SHARE"],
        ["lab", "all", "1"],
        ["vision", "ada", "1"],
    ]
    assert run("project", "remove-member", "vision", "ada")[2] == "ada: not a member of vision\n"
    assert run("project", "change", "vision", "--share", "2")[2] == "vision: closed, share 2.\n"
    assert run("project", "change", "vision", "--open")[2] == "vision: open, share 2.\n"
    assert run("project", "change", "vision")[0] == run("project", "change", "nothing", "--open")[0] == REFUSED
    (tmp_path / "job.json").write_text(json.dumps(job))
    id = run("submit", "job.json", "--project", "vision")[1].strip()
    assert [row["id"] for row in json.loads(run("jobs", "--project", "vision", "--json")[1])] == [id]
    facts = dict(line.split(maxsplit=1) for line in run("show", id)[1].splitlines())
    assert (facts["Owner"], facts["Project"]) == ("admin", "vision")
    code, _, err = run("submit", "job.json", "--project", "nothing")
    assert code == REFUSED
    assert "  /project: There is no project 'nothing'." in err


def test_me_says_who_one_is(
    run: Run, log_in: Callable[..., Client], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in("ada")
    token = client.create_token("phone", user="ada", scope="read", expires_in_days=1)
    monkeypatch.setenv("FITQUEUE_TOKEN", token.token)
    facts = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in run("me")[1].splitlines())
    assert facts.pop("Expires") > "2026"
    assert facts == {
        "User": "ada", "Role": "member", "Priority": "0 at most", "Token": f"phone, {token.id}", "Scope": "read",
        "Projects": "lab", "Running jobs": "0", "GPUs": "0", "Queued jobs": "0", "Stored": "0 B",
    }  # fmt: skip
    assert json.loads(run("me", "--json")[1])["user"]["name"] == "ada"


def test_what_a_user_may_not_do_is_refused_with_the_reason(
    run: Run, client: Client, log_in: Callable[..., Client], job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in("ada")
    ids = [client.submit(job).id for _ in range(2)]
    token = client.create_token("phone", user="ada").token
    monkeypatch.setenv("FITQUEUE_TOKEN", token)
    assert run("user", "list") == (REFUSED, "", "Error: ada is a member; this needs the role admin.\n")
    code, _, err = run("cancel", *ids)
    assert code == REFUSED
    assert err.splitlines() == [
        f"Error: The job {id} belongs to admin; only its owner and admins may change it." for id in ids
    ]
    assert run("token", "list", "--user", "admin")[0] == REFUSED
    assert [row["name"] for row in json.loads(run("token", "list", "--json")[1])] == ["laptop", "phone"]


def test_the_first_steps_of_a_class_are_what_users_md_says(
    run: Run, service: Any, client: Client, tmp_path: Path
) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", section(text_of("users.md"), "The first steps of a class"), re.DOTALL)
    [script] = [block for block in blocks if "students.txt" in block]
    (tmp_path / "students.txt").write_text("ada\ngrace.hopper@example.org\n")
    program = "import sys; from fitqueue.cli import main; sys.exit(main())"
    (tmp_path / "fitqueue").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{program}" "$@"\n')
    (tmp_path / "fitqueue").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    subprocess.run(["sh", "-e"], input=script, text=True, check=True, cwd=tmp_path, env={**os.environ, **environment})
    assert [user.name for user in client.users()] == ["ada", "admin", "grace.hopper@example.org"]
    for name in ("ada", "grace.hopper@example.org"):
        file = tmp_path / "tokens" / name
        assert file.stat().st_mode & 0o077 == 0
        with Client(service.url, file.read_text().strip()) as student:
            assert (student.me().user.name, student.me().projects) == (name, ["course", "lab"])


@pytest.mark.parametrize("group", ["user", "token"])
def test_help_says_where_the_commands_work(group: str, run: Run) -> None:
    text = " ".join(run(group, "--help")[1].split())
    assert "FITQUEUE_DATABASE_URL" in text
    assert "var/fitqueue.db" in text
    assert "the API with your token" in text
