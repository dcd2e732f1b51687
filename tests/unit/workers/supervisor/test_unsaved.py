import errno
import os
from pathlib import Path

import pytest

from fitqueue.reports import ArtifactWritten
from workers.supervisor import unsaved
from workers.supervisor.unsaved import LIST

NOT_STORED = ArtifactWritten(file="1.csv", name="log.csv", size=4, sha256="0" * 64)


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    """The directory of an attempt, with a file that it wrote and one that was fetched for it."""
    directory = tmp_path / "work" / "job_1.2"
    (directory / "fetched").mkdir(parents=True)
    (directory / "fetched" / "data.npz").write_bytes(b"stored elsewhere")
    (directory / "1.csv").write_bytes(b"rows")
    return directory


@pytest.fixture
def unsaved_dir_on_another_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    unsaved_dir = tmp_path / "unsaved"
    rename = os.rename

    def rename_within_a_volume(source: Path, target: Path) -> None:
        if unsaved_dir in Path(source).parents or unsaved_dir not in Path(target).parents:
            return rename(source, target)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))

    monkeypatch.setattr(os, "rename", rename_within_a_volume)
    return unsaved_dir


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_of_an_attempt_are_moved_and_fetched_ones_are_not(attempt: Path, tmp_path: Path) -> None:
    assert unsaved.move(attempt, tmp_path / "unsaved", [NOT_STORED]) == tmp_path / "unsaved" / "job_1" / "2"
    assert _files(tmp_path / "unsaved") == ["job_1/2/1.csv", f"job_1/2/{LIST}"]


def test_the_folder_may_be_a_volume_of_its_own(attempt: Path, unsaved_dir_on_another_volume: Path) -> None:
    path = unsaved.move(attempt, unsaved_dir_on_another_volume, [NOT_STORED])
    assert path == unsaved_dir_on_another_volume / "job_1" / "2"
    assert path is not None
    assert (path / "1.csv").read_bytes() == b"rows"
    assert _files(unsaved_dir_on_another_volume) == ["job_1/2/1.csv", f"job_1/2/{LIST}"]
