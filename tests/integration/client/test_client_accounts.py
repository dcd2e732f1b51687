"""Users, projects and tokens by the client, with a real service."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import fitqueue
from fitqueue import errors
from fitqueue.client import Client
from fitqueue.roles import Role, Scope

LogIn = Callable[..., Client]


def test_me_is_the_user_of_the_token(client: Client, log_in: LogIn) -> None:
    admin = client.me()
    assert (admin.user.name, admin.user.role, admin.token.name, admin.token.scope) == (
        "admin", Role.ADMIN, "tests", Scope.ALL,
    )  # fmt: skip
    client.create_project("vision", open=False)
    ada = log_in("ada", scope="submit").me()
    assert (ada.user.name, ada.user.role, ada.token.scope, ada.projects) == ("ada", Role.MEMBER, Scope.SUBMIT, ["lab"])
    assert client.me().projects == ["lab", "vision"]


def test_users_are_created_changed_and_disabled(client: Client, log_in: LogIn) -> None:
    ada = log_in("ada")
    assert client.create_user("grace", role="viewer").role is Role.VIEWER
    assert [user.name for user in client.users()] == ["ada", "admin", "grace"]
    changed = client.change_user("ada", share=2.5, max_priority=10)
    assert (changed.role, changed.share, changed.max_priority) == (Role.MEMBER, 2.5, 10)
    assert client.change_user("ada", role="admin").share == 2.5
    assert len(ada.users()) == 3
    assert client.change_user("ada", disabled=True).disabled_at is not None
    with pytest.raises(errors.Unauthenticated):
        ada.me()
    assert client.change_user("ada", disabled=False).disabled_at is None
    assert ada.me().user.name == "ada"


def test_what_cannot_be_done_to_users_raises_its_own_error(client: Client, log_in: LogIn) -> None:
    with pytest.raises(errors.NameTaken):
        client.create_user("admin")
    with pytest.raises(errors.UserNotFound, match="'nobody'"):
        client.change_user("nobody", share=2.0)
    with pytest.raises(errors.LastAdmin):
        client.change_user("admin", disabled=True)
    with pytest.raises(errors.InvalidRequest) as caught:
        client.create_user("Ada Lovelace")
    assert [fault.pointer for fault in caught.value.errors] == ["/name"]
    ada = log_in("ada")
    for call in (ada.users, lambda: ada.create_user("eve"), lambda: ada.create_project("eves")):
        with pytest.raises(errors.Forbidden, match="ada is a member; this needs the role admin"):
            call()


def test_a_closed_project_is_hidden_from_those_who_are_not_its_members(
    client: Client, log_in: LogIn, job: dict[str, Any]
) -> None:
    client.create_project("vision", open=False)
    ada, eve = log_in("ada"), log_in("eve")
    assert client.add_member("vision", "ada") == client.add_member("vision", "ada")
    assert [(project.name, project.open, project.members) for project in ada.projects()] == [
        ("lab", True, []),
        ("vision", False, ["ada"]),
    ]
    submitted = ada.submit({**job, "project": "vision"})
    assert (submitted.owner, submitted.project) == ("ada", "vision")
    assert [listed.id for listed in client.list(project="vision", owner="ada")] == [submitted.id]
    assert list(client.list(owner="eve")) == list(client.list(project="lab")) == []
    assert [project.name for project in eve.projects()] == ["lab"]
    assert list(eve.list()) == []
    with pytest.raises(errors.JobNotFound):
        eve.get(submitted.id)
    with pytest.raises(errors.InvalidSpec) as caught:
        eve.submit({**job, "project": "vision"})
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [("/project", "unknown_project")]
    assert client.change_project("vision", open=True, share=2.0).share == 2.0
    with pytest.raises(errors.Forbidden, match="belongs to ada"):
        eve.cancel(submitted.id)
    assert client.remove_member("vision", "ada").members == []
    with pytest.raises(errors.ProjectNotFound):
        client.add_member("nothing", "ada")


def test_an_upload_goes_to_its_project(client: Client, log_in: LogIn, tmp_path: Path) -> None:
    client.create_project("vision", open=False)
    np.savez(tmp_path / "scans.npz", x=np.zeros(3))
    hidden = client.upload(tmp_path / "scans.npz", "scans", project="vision")
    assert (hidden.owner, hidden.project) == ("admin", "vision")
    assert client.upload(tmp_path / "scans.npz", "scans", project="vision") == hidden
    eve = log_in("eve")
    assert list(eve.datasets(project="vision")) == []
    with pytest.raises(errors.DatasetNotFound):
        eve.dataset(hidden.id)
    with pytest.raises(errors.ProjectNotFound):
        eve.upload(tmp_path / "scans.npz", "scans", project="vision")
    own = eve.upload(tmp_path / "scans.npz", "scans")
    assert (own.id != hidden.id, own.project) == (True, "lab")
    assert [dataset.id for dataset in client.datasets(owner="eve")] == [own.id]
    assert [dataset.id for dataset in client.datasets(project="vision")] == [hidden.id]
    with pytest.raises(errors.Forbidden, match="belongs to eve"):
        log_in("ada").delete_dataset("scans")


def test_tokens_are_narrow_expire_and_are_revoked(client: Client, service: Any, log_in: LogIn) -> None:
    ada = log_in("ada")
    created = ada.create_token("dashboard", scope="read", expires_in_days=30)
    assert (created.user, created.scope, created.expires_at) == (
        "ada", Scope.READ, created.created_at + timedelta(days=30),
    )  # fmt: skip
    with Client(service.url, created.token) as dashboard:
        assert list(dashboard.list()) == []
        with pytest.raises(errors.Forbidden, match="'dashboard' has the scope read; this needs the scope all"):
            dashboard.create_token("more")
        assert [token.name for token in client.tokens("ada")] == ["laptop", "dashboard"]
        assert [token.last_used_from for token in ada.tokens()] == ["127.0.0.1"] * 2
        ada.revoke_token(created.id)
        with pytest.raises(errors.Unauthenticated):
            dashboard.me()
    for revoke in (ada.revoke_token, client.revoke_token):
        with pytest.raises(errors.TokenNotFound):
            revoke(created.id)
    with pytest.raises(errors.TokenNotFound):
        ada.revoke_token(client.me().token.id)
    for call in (lambda: ada.tokens("admin"), lambda: ada.create_token("eve", user="admin")):
        with pytest.raises(errors.Forbidden):
            call()
    with pytest.raises(errors.InvalidRequest):
        ada.create_token("never", expires_in_days=0)


def test_a_token_creates_none_that_outlives_it(client: Client, service: Any, log_in: LogIn) -> None:
    short = log_in("ada").create_token("short", expires_in_days=10)
    with Client(service.url, short.token) as ada:
        created = ada.create_token("same").expires_at
        assert created is not None
        assert short.expires_at is not None
        assert abs(created - short.expires_at) < timedelta(seconds=1)
        assert ada.create_token("shorter", expires_in_days=9).expires_at is not None
        with pytest.raises(errors.Forbidden, match=r"valid for 10\.0 more days; it cannot create one .* for 11\."):
            ada.create_token("longer", expires_in_days=11)
        assert [token.name for token in ada.tokens()] == ["laptop", "short", "same", "shorter"]
    admin = client.create_token("for a day", expires_in_days=1)
    with Client(service.url, admin.token) as other:
        assert other.create_token("for a year", user="ada", expires_in_days=365).user == "ada"


def test_a_model_and_its_data_are_sent_to_the_project(client: Client, log_in: LogIn) -> None:
    client.create_project("vision", open=False)
    model, x, y = _model_and_data()
    job = client.submit(model=model, x=x, y=y, project="vision", verbose=0)
    assert job.project == job.spec["project"] == "vision"
    assert {dataset.project for dataset in client.datasets(unnamed=True, owner="admin")} == {"vision"}
    assert "project" not in fitqueue.spec_of(model, x, y)
    assert fitqueue.spec_of(model, x, y, project="vision")["project"] == "vision"
    eve = log_in("eve")
    assert list(eve.datasets(unnamed=True, owner="admin")) == list(eve.list()) == []


def test_a_model_is_sent_as_a_preemptible_job(client: Client) -> None:
    model, x, y = _model_and_data()
    job = client.fit(model, x, y, preemptible=True, verbose=0, wait=False)
    assert job.preemptible
    assert job.spec["preemptible"] is True
    assert "preemptible" not in fitqueue.spec_of(model, x, y)
    assert fitqueue.spec_of(model, x, y, preemptible=True)["preemptible"] is True


def _model_and_data() -> tuple[Any, Any, Any]:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model, np.zeros((8, 4), "float32"), np.zeros((8, 1), "float32")
