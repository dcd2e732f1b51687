"""What holds for each kind of store."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from service.storage import Storage
from service.storage.fetching import fetch

KEY = "checkpoints/job_1/1-abc.weights.h5"
OTHER = "datasets/ds_1.npz"

Written = Callable[[bytes], Path]


def test_put_moves_a_file(store: Storage, written: Written) -> None:
    source = written(b"0123456789")
    store.put(KEY, source)
    assert not source.exists()
    assert b"".join(store.open(KEY)) == b"0123456789"
    assert b"".join(store.open(KEY, 3, 4)) == b"3456"
    assert b"".join(store.open(KEY, 8)) == b"89"
    assert b"".join(store.open(KEY, 8, 100)) == b"89"
    assert b"".join(store.open(KEY, 3, 0)) == b""
    assert store.size(KEY) == 10


def test_a_large_file(store: Storage, written: Written) -> None:
    """One that goes into a bucket in parts."""
    content = bytes(range(256)) * 4096 * 30
    store.put(KEY, written(content))
    assert store.size(KEY) == len(content) == 30 * 1024**2
    assert b"".join(store.open(KEY)) == content
    assert b"".join(store.open(KEY, 10_000_000, 100)) == content[10_000_000:10_000_100]


def test_an_empty_file(store: Storage, written: Written) -> None:
    store.put(KEY, written(b""))
    assert store.size(KEY) == 0
    assert b"".join(store.open(KEY)) == b"".join(store.open(KEY, 0, 0)) == b""


def test_a_put_replaces_what_was_there(store: Storage, written: Written) -> None:
    store.put(KEY, written(b"first"))
    store.put(KEY, written(b"second"))
    assert b"".join(store.open(KEY)) == b"second"


def test_a_put_of_no_file_stores_none(store: Storage, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put(KEY, tmp_path / "nowhere")
    assert list(store.old_keys(timedelta(-1))) == []


def test_what_is_not_there(store: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        store.open(KEY)
    with pytest.raises(FileNotFoundError):
        store.open(KEY, 0, 0)
    with pytest.raises(FileNotFoundError):
        store.size(KEY)
    store.delete(KEY)


def test_a_deleted_file(store: Storage, written: Written) -> None:
    store.put(KEY, written(b"x"))
    store.put(OTHER, written(b"y"))
    store.delete(KEY)
    store.discard(OTHER)
    assert list(store.old_keys(timedelta(-1))) == []


def test_keys_by_age(store: Storage, written: Written) -> None:
    keys = [KEY, OTHER, "artifacts/job_1/1-a", "snapshots/job_1/1-a"]
    for key in keys:
        store.put(key, written(b"x"))
    assert list(store.old_keys(timedelta(hours=1))) == []
    assert sorted(store.old_keys(timedelta(hours=-1))) == sorted(keys)


def test_many_keys(store: Storage, written: Written) -> None:
    keys = {f"datasets/ds_{n}.npz" for n in range(120)}
    for key in keys:
        store.put(key, written(b"x"))
    assert set(store.old_keys(timedelta(hours=-1))) == keys


def test_what_was_begun_and_left_goes(store: Storage) -> None:
    (store.temporary_folder() / "upload-1").touch()
    assert store.delete_old_incoming(timedelta(hours=1)) == []
    assert store.delete_old_incoming(timedelta(hours=-1)) == ["incoming/upload-1"]
    assert list(store.temporary_folder().iterdir()) == []


def test_a_fetched_file(store: Storage, written: Written, tmp_path: Path) -> None:
    pieces: list[None] = []
    store.put(KEY, written(b"abc" * 1_000_000))
    fetch(store, KEY, tmp_path / "fetched", lambda: pieces.append(None))
    assert (tmp_path / "fetched").read_bytes() == b"abc" * 1_000_000
    assert len(pieces) > 1


def test_a_store_that_can_be_used(store: Storage) -> None:
    store.check()
    assert list(store.old_keys(timedelta(hours=-1))) == []


@pytest.mark.parametrize(
    "key",
    ["", "x", "/etc/passwd", "checkpoints/../x", "checkpoints/..", "datasets//x", "checkpoints/.x", "datasets/a\n",
     "incoming/x", "checkpoints/a/b/c/d", "datasets/a\0"],
)  # fmt: skip
def test_no_key_leads_elsewhere(store: Storage, key: str, written: Written) -> None:
    source = written(b"x")
    acts: list[Callable[[], object]] = [
        lambda: store.put(key, source),
        lambda: store.open(key),
        lambda: store.size(key),
        lambda: store.delete(key),
        lambda: store.local_path(key),
    ]
    for act in acts:
        with pytest.raises(ValueError, match="no key of the store"):
            act()
