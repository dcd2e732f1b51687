import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from service.dataset_cache import DatasetCache
from service.storage import FolderStorage
from service.storage.bucket import BucketStorage
from tests.s3 import S3Server

Open = Callable[..., BucketStorage]
Written = Callable[[bytes], Path]
Stored = Callable[[bytes], SimpleNamespace]


@pytest.fixture
def bucket_store(open_bucket: Open) -> BucketStorage:
    return open_bucket()


@pytest.fixture
def stored(bucket_store: BucketStorage, written: Written) -> Stored:
    def stored(content: bytes) -> SimpleNamespace:
        sha256 = hashlib.sha256(content).hexdigest()
        key = f"datasets/ds_{sha256[:8]}.npz"
        bucket_store.put(key, written(content))
        return SimpleNamespace(key=key, sha256=sha256)

    return stored


def _age(path: Path, seconds: float) -> None:
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - seconds))


def test_a_data_set_is_fetched_once(bucket_store: BucketStorage, stored: Stored, s3: S3Server, tmp_path: Path) -> None:
    cache, first = DatasetCache(bucket_store, tmp_path / "cache", 100), stored(b"first")
    path = cache.path(first.key, first.sha256)
    assert path.read_bytes() == b"first"
    s3.stop()
    assert cache.path(first.key, first.sha256) == path


def test_several_that_want_it_at_once_fetch_it_once(
    bucket_store: BucketStorage, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, first = DatasetCache(bucket_store, tmp_path / "cache", 100), stored(b"first")
    opened: list[str] = []
    real = BucketStorage.open

    def counting(store: BucketStorage, key: str) -> Iterator[bytes]:
        opened.append(key)
        return real(store, key)

    monkeypatch.setattr(BucketStorage, "open", counting)
    threads = [threading.Thread(target=cache.path, args=(first.key, first.sha256)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [first.key]


def test_the_one_that_nobody_used_for_longest_goes_first(
    bucket_store: BucketStorage, stored: Stored, tmp_path: Path
) -> None:
    cache = DatasetCache(bucket_store, tmp_path / "cache", 10)
    used, unused, new = stored(b"used"), stored(b"unused"), stored(b"new")
    for each, age in ((used, 60), (unused, 30)):
        _age(cache.path(each.key, each.sha256), age)
    cache.path(used.key, used.sha256)
    cache.path(new.key, new.sha256)
    assert {path.read_bytes() for path in (tmp_path / "cache").iterdir()} == {b"used", b"new"}


def test_one_fits_however_large(bucket_store: BucketStorage, stored: Stored, tmp_path: Path) -> None:
    cache, first = DatasetCache(bucket_store, tmp_path / "cache", 0), stored(b"first")
    assert cache.path(first.key, first.sha256).read_bytes() == b"first"


def test_the_one_that_is_trained_on_stays_when_others_come(
    bucket_store: BucketStorage, stored: Stored, tmp_path: Path
) -> None:
    cache, first, second = DatasetCache(bucket_store, tmp_path / "cache", 0), stored(b"first"), stored(b"second")
    linked = cache.link(first.key, first.sha256, tmp_path / "mine", lambda: None)
    cache.path(second.key, second.sha256)
    assert linked.read_bytes() == b"first"
    assert [path.read_bytes() for path in (tmp_path / "cache").iterdir()] == [b"second"]


def test_another_process_may_let_go_of_it_at_any_moment(
    bucket_store: BucketStorage, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, first = DatasetCache(bucket_store, tmp_path / "cache", 100), stored(b"first")
    real, gone = Path.hardlink_to, []

    def hardlink_to(target: Path, source: Path) -> None:
        if not gone:
            source.unlink()
            gone.append(source)
        real(target, source)

    monkeypatch.setattr(Path, "hardlink_to", hardlink_to)
    assert cache.link(first.key, first.sha256, tmp_path / "mine", lambda: None).read_bytes() == b"first"
    assert gone


def test_what_arrives_otherwise_than_it_was_stored_is_not_used(
    bucket_store: BucketStorage, stored: Stored, tmp_path: Path
) -> None:
    cache, first = DatasetCache(bucket_store, tmp_path / "cache", 100), stored(b"first")
    with pytest.raises(OSError, match="arrived with sha256"):
        cache.path(first.key, "0" * 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_needs_no_cache(tmp_path: Path, written: Written) -> None:
    store = FolderStorage(tmp_path / "store")
    store.put("datasets/ds_1.npz", written(b"x"))
    cache = DatasetCache(store, tmp_path / "cache", 100)
    path = cache.link("datasets/ds_1.npz", "0" * 64, tmp_path / "mine", lambda: None)
    assert path == store.local_path("datasets/ds_1.npz")
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "mine").exists()
