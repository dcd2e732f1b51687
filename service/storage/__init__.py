"""Files that must not be lost: checkpoints and data sets, each under a key of the service's own making."""

from datetime import timedelta
from typing import Final

from service.settings import Settings
from service.storage.folder import FolderStore
from service.storage.interface import FileStore, StoreFailed
from service.storage.keys import artifact_key, checkpoint_key, dataset_key, snapshot_key
from service.storage_address import Bucket

REQUEST_PATIENCE: Final = timedelta(seconds=20)
WORK_PATIENCE: Final = timedelta(minutes=3)
"""How long an outage of a bucket is sat out: somebody waits for an answer, or the work of hours is to be stored."""


def open_store(settings: Settings, patience: timedelta) -> FileStore:
    """The store of the settings. What a bucket needs beyond, credentials above all, is read from AWS's variables now.

    Raises:
        OSError: those cannot be used.
    """
    if not isinstance(settings.store, Bucket):
        return FolderStore(settings.store)
    # Here, because most processes that store in a folder would load a library of 30 MB for nothing.
    from service.storage.bucket import BucketStore

    return BucketStore(settings.store, settings.work_dir / "incoming", patience, settings.downloads)


__all__ = [
    "REQUEST_PATIENCE",
    "WORK_PATIENCE",
    "FileStore",
    "FolderStore",
    "StoreFailed",
    "artifact_key",
    "checkpoint_key",
    "dataset_key",
    "open_store",
    "snapshot_key",
]
