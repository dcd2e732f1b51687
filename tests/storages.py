"""Storages in folders that exist: only `fitqueue migrate` and `fitqueue up` create them."""

from pathlib import Path

from service.storage import FolderStorage


def new_storage(root: Path) -> FolderStorage:
    """Create the folder, and return the storage in it."""
    root.mkdir(parents=True, exist_ok=True)
    return FolderStorage(root)
