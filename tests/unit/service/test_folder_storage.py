"""What a storage in a folder does beyond the contract, which tests/integration/storage tests for every storage."""

import errno
from pathlib import Path

import pytest

from service.storage import FolderStorage, checkpoint_key, dataset_key
from tests.storages import new_storage

KEY = "checkpoints/job_1/1-abc.weights.h5"


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return new_storage(tmp_path / "storage")


def _write_file(folder: Path, content: bytes) -> Path:
    path = folder / "written"
    path.write_bytes(content)
    return path


def test_put_copies_a_file_from_another_disk(
    storage: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _write_file(tmp_path, b"x" * 1_000_000)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self == source:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    storage.put(KEY, source)
    assert not source.exists()
    assert storage.size(KEY) == 1_000_000
    assert list(storage.temporary_folder().iterdir()) == []


def test_a_failed_put_keeps_the_source(storage: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _write_file(tmp_path, b"x")

    def replace(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV if self == source else errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space"):
        storage.put(KEY, source)
    assert source.exists()
    assert list(storage.temporary_folder().iterdir()) == []
    with pytest.raises(FileNotFoundError):
        storage.size(KEY)


def test_put_creates_its_folder_again_if_it_was_just_swept(
    storage: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.replace
    swept: list[Path] = []

    def replace(self: Path, target: Path) -> Path:
        if not swept:
            target.parent.rmdir()
            swept.append(target.parent)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    storage.put(KEY, _write_file(tmp_path, b"x"))
    assert swept
    assert storage.size(KEY) == 1


def test_a_file_can_be_deleted_while_it_is_read(storage: FolderStorage, tmp_path: Path) -> None:
    storage.put(KEY, _write_file(tmp_path, b"x" * 1_000_000))
    chunks = storage.open(KEY)
    storage.delete(KEY)
    storage.delete(KEY)
    assert sum(map(len, chunks)) == 1_000_000
    with pytest.raises(FileNotFoundError):
        storage.open(KEY)


def test_keys_are_never_used_twice() -> None:
    keys = {checkpoint_key("job_1", 2, "keras") for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("checkpoints/job_1/2-") and key.endswith(".keras") for key in keys)
    assert dataset_key("ds_1") == "datasets/ds_1.npz"
