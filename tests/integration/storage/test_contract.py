"""What holds for every kind of storage."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from service.storage import Storage, StoredFile
from service.storage.fetching import fetch

KEY = "checkpoints/job_1/1-abc.weights.h5"
OTHER_KEY = "datasets/ds_1.npz"
ANY_AGE = timedelta(hours=-1)

WriteFile = Callable[[bytes], Path]


def test_put_moves_a_file_and_open_reads_any_range_of_it(storage: Storage, write_file: WriteFile) -> None:
    source = write_file(b"0123456789")
    storage.put(KEY, source)
    assert not source.exists()
    assert b"".join(storage.open(KEY)) == b"0123456789"
    assert b"".join(storage.open(KEY, 3, 4)) == b"3456"
    assert b"".join(storage.open(KEY, 8)) == b"89"
    assert b"".join(storage.open(KEY, 8, 100)) == b"89"
    assert b"".join(storage.open(KEY, 3, 0)) == b""
    assert storage.size(KEY) == 10


def test_a_file_that_is_uploaded_in_parts_is_read_back(storage: Storage, write_file: WriteFile) -> None:
    content = bytes(range(256)) * 4096 * 30
    storage.put(KEY, write_file(content))
    assert storage.size(KEY) == len(content) == 30 * 1024**2
    assert b"".join(storage.open(KEY)) == content
    assert b"".join(storage.open(KEY, 10_000_000, 100)) == content[10_000_000:10_000_100]


def test_an_empty_file_can_be_stored(storage: Storage, write_file: WriteFile) -> None:
    storage.put(KEY, write_file(b""))
    assert storage.size(KEY) == 0
    assert b"".join(storage.open(KEY)) == b"".join(storage.open(KEY, 0, 0)) == b""


def test_put_replaces_an_earlier_file(storage: Storage, write_file: WriteFile) -> None:
    storage.put(KEY, write_file(b"first"))
    storage.put(KEY, write_file(b"second"))
    assert b"".join(storage.open(KEY)) == b"second"


def test_putting_a_missing_file_stores_nothing(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.put(KEY, tmp_path / "nowhere")
    assert list(storage.old_keys(ANY_AGE)) == []


def test_a_key_without_a_file_raises_file_not_found(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.open(KEY)
    with pytest.raises(FileNotFoundError):
        storage.open(KEY, 0, 0)
    with pytest.raises(FileNotFoundError):
        storage.size(KEY)
    storage.delete(KEY)


def test_deleted_and_discarded_files_are_gone(storage: Storage, write_file: WriteFile) -> None:
    storage.put(KEY, write_file(b"x"))
    storage.put(OTHER_KEY, write_file(b"y"))
    storage.delete(KEY)
    storage.discard(OTHER_KEY)
    assert list(storage.old_keys(ANY_AGE)) == []


def test_old_keys_are_listed_by_age(storage: Storage, write_file: WriteFile) -> None:
    keys = [KEY, OTHER_KEY, "artifacts/job_1/1-a", "snapshots/job_1/1-a"]
    for key in keys:
        storage.put(key, write_file(b"x"))
    assert list(storage.old_keys(timedelta(hours=1))) == []
    assert sorted(storage.old_keys(ANY_AGE)) == sorted(keys)


def test_files_of_a_kind_are_listed_with_their_sizes(storage: Storage, write_file: WriteFile) -> None:
    storage.put(KEY, write_file(b"123"))
    storage.put(OTHER_KEY, write_file(b"4567"))
    storage.put("backups/1/jobs.jsonl.gz", write_file(b"x"))
    assert list(storage.files("checkpoints")) == [StoredFile(KEY, 3)]
    assert list(storage.files("backups")) == [StoredFile("backups/1/jobs.jsonl.gz", 1)]
    assert list(storage.files("snapshots")) == []
    assert sorted(storage.old_keys(ANY_AGE)) == [KEY, OTHER_KEY], "nobody sweeps backups"


def test_many_keys_are_all_listed(storage: Storage, write_file: WriteFile) -> None:
    keys = {f"datasets/ds_{n}.npz" for n in range(120)}
    for key in keys:
        storage.put(key, write_file(b"x"))
    assert set(storage.old_keys(ANY_AGE)) == keys


def test_abandoned_files_of_the_temporary_folder_are_deleted_by_age(storage: Storage) -> None:
    (storage.temporary_folder() / "upload-1").touch()
    assert storage.delete_old_incoming(timedelta(hours=1)) == []
    assert storage.delete_old_incoming(ANY_AGE) == ["incoming/upload-1"]
    assert list(storage.temporary_folder().iterdir()) == []


def test_a_file_is_fetched_in_chunks(storage: Storage, write_file: WriteFile, tmp_path: Path) -> None:
    chunks: list[None] = []
    storage.put(KEY, write_file(b"abc" * 1_000_000))
    fetch(storage, KEY, tmp_path / "fetched", lambda: chunks.append(None))
    assert (tmp_path / "fetched").read_bytes() == b"abc" * 1_000_000
    assert len(chunks) > 1


def test_the_probe_of_a_usable_storage_stores_no_file_under_a_key(storage: Storage) -> None:
    storage.probe()
    assert list(storage.old_keys(ANY_AGE)) == []


@pytest.mark.parametrize(
    "key",
    ["", "x", "/etc/passwd", "checkpoints/../x", "checkpoints/..", "datasets//x", "checkpoints/.x", "datasets/a\n",
     "incoming/x", "checkpoints/a/b/c/d", "datasets/a\0"],
)  # fmt: skip
def test_a_key_that_the_service_does_not_make_is_refused(storage: Storage, key: str, write_file: WriteFile) -> None:
    source = write_file(b"x")
    operations: list[Callable[[], object]] = [
        lambda: storage.put(key, source),
        lambda: storage.open(key),
        lambda: storage.size(key),
        lambda: storage.delete(key),
        lambda: storage.local_path(key),
    ]
    for operation in operations:
        with pytest.raises(ValueError, match="is not a key of the storage") as error:
            operation()
        assert str(error.value) == f"'{key}' is not a key of the storage."
