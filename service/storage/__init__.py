"""Files that must not be lost: checkpoints and data sets, each under a key of the service's own making."""

from datetime import timedelta
from typing import Final

from service.settings import Settings
from service.storage.folder import FolderStorage
from service.storage.interface import Storage, StorageError
from service.storage.keys import artifact_key, checkpoint_key, dataset_key, snapshot_key
from service.storage_address import Bucket

REQUEST_RETRY_TIMEOUT: Final = timedelta(seconds=20)
WORKER_RETRY_TIMEOUT: Final = timedelta(minutes=3)
"""How long an outage of a bucket is sat out: somebody waits for an answer, or the work of hours is to be stored."""


def open_storage(settings: Settings, retry_timeout: timedelta) -> Storage:
    """The store of the settings. What a bucket needs beyond, credentials above all, is read from AWS's variables now.

    Raises:
        OSError: those cannot be used.
    """
    if not isinstance(settings.store, Bucket):
        return FolderStorage(settings.store)
    # Here, because most processes that store in a folder would load a library of 30 MB for nothing.
    from service.storage.bucket import BucketStorage

    return BucketStorage(settings.store, settings.work_dir / "incoming", retry_timeout, settings.downloads)


__all__ = [
    "REQUEST_RETRY_TIMEOUT",
    "WORKER_RETRY_TIMEOUT",
    "FolderStorage",
    "Storage",
    "StorageError",
    "artifact_key",
    "checkpoint_key",
    "dataset_key",
    "open_storage",
    "snapshot_key",
]
