"""`fitqueue init`: each deployment gets its own passwords, only its owner can read them, and they stay."""

import os
import re
import stat
from pathlib import Path

import pytest

from fitqueue.cli import main
from fitqueue.cli.failures import REFUSED


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a compose file, which is the current folder."""
    (tmp_path / "docker-compose.yml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def passwords(env: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+_PASSWORD)=(\S+)$", env, re.MULTILINE))


def test_each_deployment_gets_its_own_passwords(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = folder / "an other"
    other.mkdir()
    (other / "docker-compose.yml").touch()
    assert main(["init"]) == 0
    assert "\n    docker compose up -d --wait\n" in capsys.readouterr().out
    assert main(["init", "--dir", "an other"]) == 0
    out = capsys.readouterr().out
    assert "\n    cd 'an other'\n" in out
    first, second = (passwords((deployment / ".env").read_text()) for deployment in (folder, other))
    assert first.keys() == second.keys() == {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    secrets = [*first.values(), *second.values()]
    assert len(set(secrets)) == 4
    # They need no escaping in URLs and shells.
    assert all(re.fullmatch(r"[a-z0-9]{48}", secret) for secret in secrets)
    assert not any(secret in out for secret in secrets)


def test_only_the_owner_can_read_the_file_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        assert main(["init"]) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600


def test_an_existing_file_is_not_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".env").write_text("POSTGRES_PASSWORD=of the volume\n")
    assert main(["init", "--gpu"]) == REFUSED
    assert "already exists and was not changed" in capsys.readouterr().err
    assert (folder / ".env").read_text() == "POSTGRES_PASSWORD=of the volume\n"


def test_nothing_is_written_through_a_link(folder: Path) -> None:
    (folder / ".env").symlink_to(folder / "nowhere")
    assert main(["init"]) == REFUSED
    assert not (folder / "nowhere").exists()


def test_it_refuses_a_folder_without_a_compose_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == REFUSED
    assert "There is no docker-compose.yml in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("gpu", [False, True])
def test_on_a_gpu_host_the_gpu_compose_file_is_used(folder: Path, gpu: bool) -> None:
    assert main(["init", *(["--gpu"] if gpu else [])]) == 0
    lines = (folder / ".env").read_text().splitlines()
    assert ("COMPOSE_FILE=docker-compose.yml:docker-compose.gpu.yml" in lines) is gpu
    assert ("FITQUEUE_DEVICE=gpu" in lines) is gpu


@pytest.mark.parametrize("public", [False, True])
def test_other_machines_reach_the_api_only_if_that_is_asked_for(folder: Path, public: bool) -> None:
    assert main(["init", *(["--public"] if public else [])]) == 0
    lines = (folder / ".env").read_text().splitlines()
    assert ("FITQUEUE_ADDRESS=0.0.0.0" in lines) is public


@pytest.mark.parametrize(
    ("options", "workers"), [([], "1"), (["--workers", "4"], "4"), (["--workers=4", "--gpu"], "4")]
)
def test_the_file_has_the_number_of_workers(folder: Path, options: list[str], workers: str) -> None:
    assert main(["init", *options]) == 0
    assert f"FITQUEUE_WORKERS={workers}" in (folder / ".env").read_text().splitlines()


@pytest.mark.parametrize("workers", ["-1", "four", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused(folder: Path, workers: str) -> None:
    assert main(["init", f"--workers={workers}"]) == REFUSED
    assert not (folder / ".env").exists()
