"""Files that must not be lost, checkpoints and data sets among them, each under a key that the service makes."""

from datetime import timedelta
from typing import Final

from service.settings import Settings
from service.storage.folder import FolderStorage
from service.storage.identity import ReadIdentity
from service.storage.interface import Storage, StorageError, StoredFile
from service.storage.keys import artifact_key, checkpoint_key, dataset_key, snapshot_key
from service.storage_address import Bucket

REQUEST_RETRY_TIMEOUT: Final = timedelta(seconds=20)
WORKER_RETRY_TIMEOUT: Final = timedelta(minutes=3)
"""How long to retry while a bucket is down: a user waits for an answer, or the work of hours is to be stored."""


def open_storage(settings: Settings, retry_timeout: timedelta, read_identity: ReadIdentity) -> Storage:
    """Return the storage that the settings name. A bucket reads AWS's variables now, credentials among them.

    Args:
        retry_timeout: how long a bucket is tried again while it is down.
        read_identity: returns the identity that the storage must have; None if it has none yet.

    Raises:
        OSError: those cannot be used.
    """
    if not isinstance(settings.storage, Bucket):
        return FolderStorage(settings.storage, read_identity)
    # Imported here, because most processes store in a folder and would load a library of 30 MB for nothing.
    from service.storage.bucket import BucketStorage

    incoming = settings.work_dir / "incoming"
    return BucketStorage(settings.storage, incoming, retry_timeout, settings.downloads, read_identity)


__all__ = [
    "REQUEST_RETRY_TIMEOUT",
    "WORKER_RETRY_TIMEOUT",
    "FolderStorage",
    "ReadIdentity",
    "Storage",
    "StorageError",
    "StoredFile",
    "artifact_key",
    "checkpoint_key",
    "dataset_key",
    "open_storage",
    "snapshot_key",
]
