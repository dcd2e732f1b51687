"""A storage that is not the one that the database refers to is not used, whatever kind it is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fitqueue.errors import DatabaseUnavailable
from service.storage import FolderStorage, Storage, StorageError
from service.storage.bucket import BucketStorage
from service.storage.identity import MARKER, ReadIdentity
from tests.integration.storage.conftest import LONG_TIMEOUT

KEY = "checkpoints/job_1/1-abc.weights.h5"
OWN = "st_own"

Open = Callable[[ReadIdentity], Storage]
WriteFile = Callable[[bytes], Path]


@pytest.fixture(params=["folder", "bucket"])
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """A function that opens the storage, as another process would."""
    if request.param == "folder":
        return lambda read_identity: FolderStorage(tmp_path / "storage", read_identity)
    bucket = request.getfixturevalue("bucket")
    incoming = tmp_path / "incoming"
    return lambda read_identity: BucketStorage(bucket, incoming, LONG_TIMEOUT, read_identity=read_identity)


def database_down() -> str | None:
    raise DatabaseUnavailable


def test_a_marked_storage_has_its_identity(open_storage: Open, write_file: WriteFile) -> None:
    storage = open_storage(lambda: OWN)
    assert storage.identity() is None
    storage.mark(OWN)
    assert storage.identity() == OWN
    storage.verify()
    storage.put(KEY, write_file(b"x"))
    assert b"".join(storage.open(KEY)) == b"x"


@pytest.mark.parametrize("marked", [None, "st_other"])
def test_another_storage_is_not_used(marked: str | None, open_storage: Open, write_file: WriteFile) -> None:
    unverified = open_storage(lambda: None)
    unverified.mark(marked or OWN)
    if marked is None:
        _delete_marker(unverified)
    storage = open_storage(lambda: OWN)
    source = write_file(b"x")
    for use in (
        storage.verify,
        storage.probe,
        lambda: storage.put(KEY, source),
        lambda: storage.open(KEY),
        lambda: storage.size(KEY),
        lambda: storage.delete(KEY),
        lambda: list(storage.old_keys(LONG_TIMEOUT)),
    ):
        with pytest.raises(StorageError, match="another database"):
            use()
    assert source.read_bytes() == b"x"
    with pytest.raises(FileNotFoundError):
        unverified.size(KEY)


def test_a_storage_that_was_not_marked_yet_is_used(open_storage: Open, write_file: WriteFile) -> None:
    """`fitqueue migrate` of this version has not run yet."""
    open_storage(lambda: None).mark(OWN)
    storage = open_storage(lambda: None)
    storage.put(KEY, write_file(b"x"))
    assert storage.size(KEY) == 1


def test_the_database_is_not_asked_again(open_storage: Open, write_file: WriteFile) -> None:
    answers = [OWN]
    storage = open_storage(answers.pop)
    storage.mark(OWN)
    storage.put(KEY, write_file(b"x"))
    assert storage.size(KEY) == 1


def test_without_the_database_nobody_can_tell(open_storage: Open) -> None:
    storage = open_storage(database_down)
    storage.mark(OWN)
    with pytest.raises(StorageError, match="Nobody can tell"):
        storage.size(KEY)


def test_a_storage_that_was_adopted_is_used_at_once(open_storage: Open, write_file: WriteFile) -> None:
    expected = [OWN]
    storage = open_storage(lambda: expected[0])
    storage.mark(OWN)
    storage.verify()
    storage.mark("st_new")
    expected[0] = "st_new"
    storage.verify()
    storage.put(KEY, write_file(b"x"))


# --- A disk that goes and comes back ----------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def mounted(root: Path, write_file: WriteFile) -> FolderStorage:
    """A storage in a folder, with a file."""
    storage = FolderStorage(root, lambda: OWN)
    storage.mark(OWN)
    storage.put(KEY, write_file(b"weights"))
    return storage


@pytest.mark.parametrize("leaves_empty_folder", [True, False])
def test_a_folder_without_its_disk_is_not_used(
    leaves_empty_folder: bool, mounted: FolderStorage, root: Path, write_file: WriteFile
) -> None:
    disk = root.rename(root.with_name("disk"))
    if leaves_empty_folder:
        root.mkdir()
    source = write_file(b"x")
    for use in (
        mounted.probe,
        mounted.temporary_folder,
        lambda: mounted.put(KEY, source),
        lambda: mounted.open(KEY),
        lambda: mounted.size(KEY),
    ):
        with pytest.raises(StorageError, match="not mounted"):
            use()
    assert root.exists() == leaves_empty_folder
    assert not leaves_empty_folder or list(root.iterdir()) == []
    shutil.rmtree(root, ignore_errors=True)
    disk.rename(root)
    assert b"".join(mounted.open(KEY)) == b"weights"
    mounted.put(KEY, source)
    assert b"".join(mounted.open(KEY)) == b"x"


def test_a_disk_that_goes_while_a_file_is_stored(
    mounted: FolderStorage, root: Path, write_file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The empty folder takes the file, and gives it back."""
    move = FolderStorage._move

    def move_without_disk(self: FolderStorage, source: Path, target: Path) -> None:
        root.rename(root.with_name("disk"))
        root.mkdir()
        move(self, source, target)

    monkeypatch.setattr(FolderStorage, "_move", move_without_disk)
    source = write_file(b"x")
    with pytest.raises(StorageError, match="not mounted"):
        mounted.put(KEY, source)
    assert source.read_bytes() == b"x"
    assert not (root / KEY).exists()


def test_a_marker_that_cannot_be_read(mounted: FolderStorage, root: Path) -> None:
    (root / MARKER).unlink()
    (root / MARKER).mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        mounted.size(KEY)


def test_a_missing_root_is_never_created(root: Path, write_file: WriteFile) -> None:
    storage = FolderStorage(root)
    with pytest.raises(StorageError, match="does not exist"):
        storage.put(KEY, write_file(b"x"))
    with pytest.raises(StorageError, match="does not exist"):
        storage.probe()
    assert not root.exists()


def _delete_marker(storage: Storage) -> None:
    if isinstance(storage, BucketStorage):
        storage._files.delete(MARKER)
    else:
        assert isinstance(storage, FolderStorage)
        (storage._root / MARKER).unlink()
