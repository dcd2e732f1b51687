"""The place where backups are: a storage with the files of all of them, and a folder for each one that describes it.

A file has the key that it has in the service's storage, and several backups share it. The place is marked as one, so
that no service takes it for its own storage.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from service.backup.errors import BackupFailed
from service.backup.manifest import FORMAT, Manifest
from service.settings import Settings
from service.storage import WORKER_RETRY_TIMEOUT, Storage, open_storage
from service.storage.keys import BACKUPS, KINDS, backup_key
from service.storage_address import Bucket

MANIFEST: Final = "manifest.json"

_MARK: Final = "backup-of-"
"""How the identity of such a place begins; that of the service's storage follows."""


class BackupPlace:
    """Backups in one storage."""

    def __init__(self, storage: Storage, name: str) -> None:
        """Look at a place, which `name` names in messages."""
        self.storage = storage
        self.name = name

    def claim(self, storage_id: str) -> None:
        """Mark the place as one for backups of the service whose storage has this identity.

        Raises:
            BackupFailed: it is used for something else.
            OSError: it cannot be used.
        """
        found = self.storage.identity()
        if found == f"{_MARK}{storage_id}":
            return
        if found is not None or self.sizes():
            other = "backups of another service" if found and found.startswith(_MARK) else "the storage of a service"
            raise BackupFailed(f"{self.name} has {other}. Choose an empty folder, or another prefix in a bucket.")
        self.storage.mark(f"{_MARK}{storage_id}")

    def sizes(self) -> dict[str, int]:
        """Return the sizes of the files that it has already, by key."""
        return {file.key: file.size for kind in KINDS for file in self.storage.files(kind)}

    def backups(self) -> Mapping[str, bool]:
        """Return the names of the backups in order of time, each with whether it was finished."""
        keys = {file.key for file in self.storage.files(BACKUPS)}
        names = sorted({key.split("/")[1] for key in keys if key.count("/") > 1})
        return {name: backup_key(name, MANIFEST) in keys for name in names}

    def newest(self) -> str:
        """Return the name of the newest backup that was finished.

        Raises:
            BackupFailed: there is none.
            OSError: the place cannot be read.
        """
        backups = self.backups()
        finished = [name for name, is_finished in backups.items() if is_finished]
        if not finished:
            unfinished = f", only {len(backups)} that was not finished" if backups else ""
            raise BackupFailed(f"{self.name} has no backup{unfinished}.")
        return finished[-1]

    def read(self, name: str) -> Manifest:
        """Return the manifest of a backup.

        Raises:
            BackupFailed: it cannot be used.
            OSError: it cannot be read.
        """
        self._require_finished(name)
        content = b"".join(self.storage.open(backup_key(name, MANIFEST)))
        try:
            _require_format(name, content)
            return Manifest.model_validate_json(content)
        except ValidationError as error:
            [fault, *_] = error.errors()
            pointer = "/".join(map(str, fault["loc"]))
            raise BackupFailed(
                f"The manifest of the backup {name} is damaged at '{pointer}': {fault['msg']}."
            ) from error

    def remove(self, name: str) -> None:
        """Remove what describes a backup: the manifest first, so that nobody takes it for a whole one.

        Raises:
            OSError: the place failed.
        """
        self.storage.delete(backup_key(name, MANIFEST))
        for file in self.storage.files(BACKUPS):
            if file.key.startswith(backup_key(name, "")):
                self.storage.delete(file.key)

    def _require_finished(self, name: str) -> None:
        backups = self.backups()
        if name not in backups:
            raise BackupFailed(f"{self.name} has no backup '{name}'; `fitqueue restore SOURCE --list` lists them.")
        if not backups[name]:
            raise BackupFailed(f"The backup {name} has no manifest, so it was not finished. Choose another one.")


def open_place(settings: Settings, address: Path | Bucket) -> BackupPlace:
    """Open a folder or a bucket. AWS's variables hold for it as for the storage.

    Raises:
        OSError: it cannot be used.
    """
    storage = open_storage(settings.model_copy(update={"storage": address}), WORKER_RETRY_TIMEOUT, lambda: None)
    return BackupPlace(storage, str(address))


def _require_format(name: str, content: bytes) -> None:
    """Look at the version first: of another one, nothing else is known."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise BackupFailed(f"The manifest of the backup {name} is damaged: it is not JSON.") from None
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise BackupFailed(
            f"The backup {name} has the format {found!r}; expected {FORMAT}. A newer FitQueue may know it."
        )
