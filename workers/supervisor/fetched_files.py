"""Brings what a training needs to this machine: its snapshot, its data set, its initial weights."""

import errno
from pathlib import Path

from service.dataset_cache import DatasetCache
from service.models import Snapshot
from service.storage import Storage
from service.storage.fetching import fetch, reads_back
from service.store.leases import ClaimedJob
from workers.supervisor.storage_calls import OnChunk


class SnapshotUnreadable(Exception):
    """A snapshot is gone or damaged. The message says how, as the end of a sentence."""


def fetch_snapshot(storage: Storage, snapshot: Snapshot, folder: Path, on_chunk: OnChunk) -> Path:
    """Return the path of a snapshot that reads back as it was written.

    One that is stored on another machine is fetched into `folder`.

    Raises:
        SnapshotUnreadable: it is gone or damaged, and will always be.
        OSError: it cannot be read now. This says nothing about the snapshot.
    """
    key = snapshot.storage_key
    path = storage.local_path(key)
    try:
        if path is not None:
            is_intact = reads_back(storage, key, snapshot.sha256, on_chunk)
        else:
            path = folder / "snapshot"
            is_intact = fetch(storage, key, path, on_chunk) == snapshot.sha256
    except FileNotFoundError as error:
        raise SnapshotUnreadable("its file is gone") from error
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        storage.verify()  # if the disk of this file alone is bad, the storage can be used
        raise SnapshotUnreadable(f"its file cannot be read ({error})") from error
    if not is_intact:
        raise SnapshotUnreadable("it did not read back as it was written")
    return path


def fetch_dataset(datasets: DatasetCache, claimed: ClaimedJob, folder: Path, on_chunk: OnChunk) -> str | None:
    """Return the path of the job's data set on this machine; None for a built-in one.

    Raises:
        OSError: it cannot be fetched.
    """
    if claimed.dataset_key is None or claimed.dataset_sha256 is None:
        return None
    return str(datasets.link(claimed.dataset_key, claimed.dataset_sha256, folder / "dataset.npz", on_chunk))


def fetch_initial_weights(
    storage: Storage, datasets: DatasetCache, claimed: ClaimedJob, folder: Path, on_chunk: OnChunk
) -> str | None:
    """Return the path of the weights that the job starts from; None if it has none.

    Those of another job are copied, because that job may save newer ones, and replace the file, at any moment.

    Raises:
        OSError: they cannot be fetched, or what arrived is not what was stored.
    """
    if claimed.weights_dataset_key is not None and claimed.weights_dataset_sha256 is not None:
        key, sha256 = claimed.weights_dataset_key, claimed.weights_dataset_sha256
        return str(datasets.link(key, sha256, folder / "weights.npz", on_chunk).absolute())
    if claimed.initial_weights_key is None:
        return None
    path = folder / ("initial.keras" if claimed.initial_weights_key.endswith(".keras") else "initial.weights.h5")
    arrived = fetch(storage, claimed.initial_weights_key, path, on_chunk)
    if arrived != claimed.initial_weights_sha256:
        raise OSError(
            f"the weights {claimed.initial_weights_key} arrived with sha256 {arrived}, and were stored with "
            f"{claimed.initial_weights_sha256}"
        )
    return str(path.absolute())
