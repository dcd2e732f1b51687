"""A folder as a store; what holds for each kind stands in tests/integration/storage."""

import errno
from pathlib import Path

import pytest

from service.storage import FolderStorage, checkpoint_key, dataset_key
from service.store.leases import Lease

KEY = "checkpoints/job_1/1-abc.weights.h5"


@pytest.fixture
def store(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "store")


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "written"
    path.write_bytes(content)
    return path


def test_put_copies_from_another_disk(store: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _written(tmp_path, b"x" * 1_000_000)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self == source:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    store.put(KEY, source)
    assert not source.exists()
    assert store.size(KEY) == 1_000_000
    assert list(store.temporary_folder().iterdir()) == []


def test_a_put_that_fails_keeps_the_file(store: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _written(tmp_path, b"x")

    def replace(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV if self == source else errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space"):
        store.put(KEY, source)
    assert source.exists()
    assert list(store.temporary_folder().iterdir()) == []
    with pytest.raises(FileNotFoundError):
        store.size(KEY)


def test_a_put_whose_folder_is_swept_away_meanwhile(
    store: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, swept = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        if not swept:
            target.parent.rmdir()
            swept.append(target.parent)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    store.put(KEY, _written(tmp_path, b"x"))
    assert swept
    assert store.size(KEY) == 1


def test_a_file_can_be_deleted_while_it_is_read(store: FolderStorage, tmp_path: Path) -> None:
    store.put(KEY, _written(tmp_path, b"x" * 1_000_000))
    chunks = store.open(KEY)
    store.delete(KEY)
    store.delete(KEY)
    assert sum(map(len, chunks)) == 1_000_000
    with pytest.raises(FileNotFoundError):
        store.open(KEY)


def test_keys_are_never_used_twice() -> None:
    lease = Lease("job_1", 2, "w1")
    keys = {checkpoint_key(lease, "keras") for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("checkpoints/job_1/2-") and key.endswith(".keras") for key in keys)
    assert dataset_key("ds_1") == "datasets/ds_1.npz"
