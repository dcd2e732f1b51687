import errno
from datetime import timedelta
from pathlib import Path

import pytest

from service.storage import FileStore, checkpoint_key, dataset_key
from service.store.leases import Lease

KEY = "checkpoints/job_1/1-abc.weights.h5"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "written"
    path.write_bytes(content)
    return path


def test_put_moves_a_file(store: FileStore, tmp_path: Path) -> None:
    source = _written(tmp_path, b"0123456789")
    store.put(KEY, source)
    assert not source.exists()
    assert b"".join(store.open(KEY)) == b"0123456789"
    assert b"".join(store.open(KEY, 3, 4)) == b"3456"
    assert b"".join(store.open(KEY, 8)) == b"89"
    assert store.size(KEY) == 10


def test_put_copies_from_another_disk(store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_put_that_fails_keeps_the_file(store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_a_put_of_no_file_stores_none(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put(KEY, tmp_path / "nowhere")
    assert list(store.old_keys(timedelta(-1))) == []


def test_a_file_can_be_deleted_while_it_is_read(store: FileStore, tmp_path: Path) -> None:
    store.put(KEY, _written(tmp_path, b"x" * 1_000_000))
    chunks = store.open(KEY)
    store.delete(KEY)
    store.delete(KEY)
    assert sum(map(len, chunks)) == 1_000_000
    with pytest.raises(FileNotFoundError):
        store.open(KEY)


@pytest.mark.parametrize(
    "key",
    ["", "x", "/etc/passwd", "checkpoints/../x", "checkpoints/..", "datasets//x", "checkpoints/.x", "datasets/a\n",
     "incoming/x", "checkpoints/a/b/c/d", "datasets/a\0"],
)  # fmt: skip
def test_no_key_leads_elsewhere(store: FileStore, key: str) -> None:
    with pytest.raises(ValueError, match="no key of the store"):
        store.local_path(key)


def test_keys_are_never_used_twice() -> None:
    lease = Lease("job_1", 2, "w1")
    keys = {checkpoint_key(lease, "keras") for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("checkpoints/job_1/2-") and key.endswith(".keras") for key in keys)
    assert dataset_key("ds_1") == "datasets/ds_1.npz"
