"""The local copies of data sets that are stored in a bucket."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from service.dataset_cache import DatasetCache
from service.storage.bucket import BucketStorage
from tests.s3 import S3Server
from tests.storages import new_storage


class StoredDataset(NamedTuple):
    key: str
    sha256: str


OpenBucket = Callable[..., BucketStorage]
WriteFile = Callable[[bytes], Path]
StoreDataset = Callable[[bytes], StoredDataset]


@pytest.fixture
def storage(open_bucket: OpenBucket) -> BucketStorage:
    return open_bucket()


@pytest.fixture
def store_dataset(storage: BucketStorage, write_file: WriteFile) -> StoreDataset:
    """A function that stores a data set with this content in the bucket."""

    def store_dataset(content: bytes) -> StoredDataset:
        sha256 = hashlib.sha256(content).hexdigest()
        key = f"datasets/ds_{sha256[:8]}.npz"
        storage.put(key, write_file(content))
        return StoredDataset(key, sha256)

    return store_dataset


def _make_older(path: Path, seconds: float) -> None:
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - seconds))


def test_a_data_set_is_fetched_once(
    storage: BucketStorage, store_dataset: StoreDataset, s3: S3Server, tmp_path: Path
) -> None:
    cache, dataset = DatasetCache(storage, tmp_path / "cache", 100), store_dataset(b"first")
    path = cache.path(dataset.key, dataset.sha256)
    assert path.read_bytes() == b"first"
    s3.stop()
    assert cache.path(dataset.key, dataset.sha256) == path


def test_concurrent_requests_for_a_data_set_fetch_it_once(
    storage: BucketStorage, store_dataset: StoreDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, dataset = DatasetCache(storage, tmp_path / "cache", 100), store_dataset(b"first")
    opened: list[str] = []
    real = BucketStorage.open

    def count_open(storage: BucketStorage, key: str) -> Iterator[bytes]:
        opened.append(key)
        return real(storage, key)

    monkeypatch.setattr(BucketStorage, "open", count_open)
    threads = [threading.Thread(target=cache.path, args=dataset) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [dataset.key]


def test_who_waits_for_a_fetch_that_hangs_does_not_seem_to_be_active(
    storage: BucketStorage, store_dataset: StoreDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its own deadline would never come."""
    cache, dataset = DatasetCache(storage, tmp_path / "cache", 100), store_dataset(b"first")
    hangs, may_continue, waits = threading.Event(), threading.Event(), threading.Semaphore(0)

    def open_slowly(storage: BucketStorage, key: str) -> Iterator[bytes]:
        yield b"fi"
        hangs.set()
        may_continue.wait(60)
        yield b"rst"

    class CountedLock:
        """Tells of each second that somebody waits."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            self.release = self._lock.release

        def acquire(self, timeout: float) -> bool:
            waits.release()
            return self._lock.acquire(timeout=0.01)

    monkeypatch.setattr(BucketStorage, "open", open_slowly)
    monkeypatch.setattr(cache, "_fetching", CountedLock())
    fetching = threading.Thread(target=cache.path, args=dataset)
    fetching.start()
    assert hangs.wait(60)
    active: list[int] = []
    waiting = threading.Thread(target=cache.path, args=(*dataset, lambda: active.append(1)))
    waiting.start()
    for _ in range(20):
        assert waits.acquire(timeout=60)
    assert len(active) <= 1
    may_continue.set()
    fetching.join(60)
    waiting.join(60)
    assert cache.path(*dataset).read_bytes() == b"first"


def test_the_least_recently_used_data_set_is_deleted_first(
    storage: BucketStorage, store_dataset: StoreDataset, tmp_path: Path
) -> None:
    cache = DatasetCache(storage, tmp_path / "cache", 10)
    used, unused, new = store_dataset(b"used"), store_dataset(b"unused"), store_dataset(b"new")
    for dataset, age in ((used, 60), (unused, 30)):
        _make_older(cache.path(dataset.key, dataset.sha256), age)
    cache.path(used.key, used.sha256)
    cache.path(new.key, new.sha256)
    assert {path.read_bytes() for path in (tmp_path / "cache").iterdir()} == {b"used", b"new"}


def test_one_data_set_always_fits(storage: BucketStorage, store_dataset: StoreDataset, tmp_path: Path) -> None:
    cache, dataset = DatasetCache(storage, tmp_path / "cache", 0), store_dataset(b"first")
    assert cache.path(dataset.key, dataset.sha256).read_bytes() == b"first"


def test_a_linked_data_set_outlives_its_copy_in_the_cache(
    storage: BucketStorage, store_dataset: StoreDataset, tmp_path: Path
) -> None:
    cache = DatasetCache(storage, tmp_path / "cache", 0)
    first, second = store_dataset(b"first"), store_dataset(b"second")
    link = cache.link(first.key, first.sha256, tmp_path / "mine", lambda: None)
    cache.path(second.key, second.sha256)
    assert link.read_bytes() == b"first"
    assert [path.read_bytes() for path in (tmp_path / "cache").iterdir()] == [b"second"]


def test_a_data_set_that_another_process_deletes_before_it_is_linked_is_fetched_again(
    storage: BucketStorage, store_dataset: StoreDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, dataset = DatasetCache(storage, tmp_path / "cache", 100), store_dataset(b"first")
    real = Path.hardlink_to
    deleted: list[Path] = []

    def hardlink_to(target: Path, source: Path) -> None:
        if not deleted:
            source.unlink()
            deleted.append(source)
        real(target, source)

    monkeypatch.setattr(Path, "hardlink_to", hardlink_to)
    assert cache.link(dataset.key, dataset.sha256, tmp_path / "mine", lambda: None).read_bytes() == b"first"
    assert deleted


def test_a_data_set_that_arrives_damaged_is_not_used(
    storage: BucketStorage, store_dataset: StoreDataset, tmp_path: Path
) -> None:
    cache, dataset = DatasetCache(storage, tmp_path / "cache", 100), store_dataset(b"first")
    with pytest.raises(OSError, match="arrived with sha256") as error:
        cache.path(dataset.key, "0" * 64)
    assert str(error.value) == (
        f"the data set {dataset.key} arrived with sha256 {dataset.sha256}, and was stored with {'0' * 64}"
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_storage_in_a_folder_is_not_cached(tmp_path: Path, write_file: WriteFile) -> None:
    storage = new_storage(tmp_path / "storage")
    storage.put("datasets/ds_1.npz", write_file(b"x"))
    cache = DatasetCache(storage, tmp_path / "cache", 100)
    path = cache.link("datasets/ds_1.npz", "0" * 64, tmp_path / "mine", lambda: None)
    assert path == storage.local_path("datasets/ds_1.npz")
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "mine").exists()
