"""Brings what a training needs to this machine: its snapshot, its data set, its initial weights."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from service.dataset_cache import DatasetCache
from service.models import Snapshot
from service.storage import Storage, StorageError
from service.storage.fetching import fetch, reads_back
from service.store.leases import ClaimedJob

_logger = logging.getLogger(__name__)

OnChunk = Callable[[], None]
"""Called again and again while a file is fetched. What it raises ends that."""


def first_readable(
    storage: Storage, snapshots: Sequence[Snapshot], folder: Path, on_chunk: OnChunk
) -> tuple[Snapshot, Path] | None:
    """Return the first snapshot that reads back as it was written, and its path; None if there is none.

    A snapshot that is stored on another machine is fetched into `folder`.

    Raises:
        StorageError: the storage cannot be reached, so nobody can tell which snapshots can be read.
    """
    for snapshot in snapshots:
        path = storage.local_path(snapshot.storage_key) or folder / "snapshot"
        if _is_readable(storage, snapshot, path, on_chunk):
            return snapshot, path
    return None


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

    Those of another job are copied, because that job may find better weights, and replace the file, at any moment.

    Raises:
        OSError: they cannot be fetched.
    """
    if claimed.weights_dataset_key is not None and claimed.weights_dataset_sha256 is not None:
        key, sha256 = claimed.weights_dataset_key, claimed.weights_dataset_sha256
        return str(datasets.link(key, sha256, folder / "weights.npz", on_chunk).absolute())
    if claimed.initial_weights_key is None:
        return None
    path = folder / "initial.weights.h5"
    fetch(storage, claimed.initial_weights_key, path, on_chunk)
    return str(path.absolute())


def _is_readable(storage: Storage, snapshot: Snapshot, path: Path, on_chunk: OnChunk) -> bool:
    key = snapshot.storage_key
    try:
        if storage.local_path(key) == path:
            is_intact = reads_back(storage, key, snapshot.sha256)
        else:
            is_intact = fetch(storage, key, path, on_chunk) == snapshot.sha256
    except StorageError:
        raise  # starting over would give up everything that was trained
    except OSError as error:
        _logger.error("A snapshot cannot be read.", extra={"key": key, "error": str(error)})
        return False
    if not is_intact:
        _logger.error("A snapshot did not read back as it was written.", extra={"key": key})
    return is_intact
