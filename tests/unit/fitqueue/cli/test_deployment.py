"""`fitqueue init`: passwords of its own for each deployment, which nobody else can read, and which stay."""

import os
import re
import stat
from pathlib import Path

import pytest

from fitqueue.cli import main
from fitqueue.cli.failures import REFUSED


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a compose file; commands run in it."""
    (tmp_path / "docker-compose.yml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def passwords(env: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+_PASSWORD)=(\S+)$", env, re.MULTILINE))


def test_each_deployment_has_passwords_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = folder / "an other"
    other.mkdir()
    (other / "docker-compose.yml").touch()
    assert main(["init"]) == 0
    assert "\n    docker compose up -d --wait --scale worker=4\n" in capsys.readouterr().out
    assert main(["init", "--dir", "an other"]) == 0
    said = capsys.readouterr().out
    assert "\n    cd 'an other'\n" in said
    made = [passwords((place / ".env").read_text()) for place in (folder, other)]
    assert [set(each) for each in made] == [{"POSTGRES_PASSWORD", "REDIS_PASSWORD"}] * 2
    words = [word for each in made for word in each.values()]
    assert len(set(words)) == 4
    # In an address and on a shell's line they stand as they are.
    assert all(re.fullmatch(r"[a-z0-9]{48}", word) for word in words)
    assert not any(word in said for word in words)


def test_the_file_is_its_owners_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        assert main(["init"]) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600


def test_one_that_is_there_is_left_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".env").write_text("POSTGRES_PASSWORD=of the volume\n")
    assert main(["init", "--gpu"]) == REFUSED
    assert "left as it is" in capsys.readouterr().err
    assert (folder / ".env").read_text() == "POSTGRES_PASSWORD=of the volume\n"


def test_nor_is_anything_written_through_a_link(folder: Path) -> None:
    (folder / ".env").symlink_to(folder / "nowhere")
    assert main(["init"]) == REFUSED
    assert not (folder / "nowhere").exists()


def test_without_a_compose_file_beside_it_nothing_would_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == REFUSED
    assert "There is no docker-compose.yml in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("gpu", [False, True])
def test_a_gpu_host_has_the_file_that_reserves_its_gpus(folder: Path, gpu: bool) -> None:
    assert main(["init", *(["--gpu"] if gpu else [])]) == 0
    lines = (folder / ".env").read_text().splitlines()
    assert ("COMPOSE_FILE=docker-compose.yml:docker-compose.gpu.yml" in lines) is gpu
    assert ("FITQUEUE_DEVICE=gpu" in lines) is gpu
