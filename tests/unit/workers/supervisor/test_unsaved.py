import errno
import os
from pathlib import Path

import pytest

from workers.shared.protocol import ArtifactWritten
from workers.supervisor.unsaved import LIST, keep

NOT_STORED = ArtifactWritten(file="1.csv", name="log.csv", size=4, sha256="0" * 64)


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    """The directory of one, with a file of its own and one that was fetched for it."""
    directory = tmp_path / "work" / "job_1.2"
    (directory / "fetched").mkdir(parents=True)
    (directory / "fetched" / "data.npz").write_bytes(b"stored elsewhere")
    (directory / "1.csv").write_bytes(b"rows")
    return directory


@pytest.fixture
def kept_on_another_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kept = tmp_path / "kept"
    rename = os.rename

    def rename_within_a_volume(source: Path, target: Path) -> None:
        if kept in Path(source).parents or kept not in Path(target).parents:
            return rename(source, target)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))

    monkeypatch.setattr(os, "rename", rename_within_a_volume)
    return kept


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_an_attempt_wrote_is_kept_and_what_was_fetched_is_not(attempt: Path, tmp_path: Path) -> None:
    assert keep(attempt, tmp_path / "kept", [NOT_STORED]) == tmp_path / "kept" / "job_1" / "2"
    assert _files(tmp_path / "kept") == ["job_1/2/1.csv", f"job_1/2/{LIST}"]


def test_a_volume_may_be_mounted_for_what_is_kept_alone(attempt: Path, kept_on_another_volume: Path) -> None:
    where = keep(attempt, kept_on_another_volume, [NOT_STORED])
    assert where == kept_on_another_volume / "job_1" / "2"
    assert (where / "1.csv").read_bytes() == b"rows"
    assert _files(kept_on_another_volume) == ["job_1/2/1.csv", f"job_1/2/{LIST}"]
