"""Removes old backups, and the files that none of the others needs.

Only files are removed that are a day old, because those of a backup that is being made are not in a manifest yet.
"""

from datetime import timedelta
from typing import Final, NamedTuple

from service.backup.place import BackupPlace

MIN_AGE: Final = timedelta(days=1)


class Removed(NamedTuple):
    """What was removed."""

    backups: int
    files: int


def keep_newest(place: BackupPlace, count: int, min_age: timedelta = MIN_AGE) -> Removed:
    """Remove all but the newest backups, among them those that were not finished and are older.

    Raises:
        BackupFailed: the manifest of a backup that is kept cannot be read, so nothing is removed.
        OSError: the place failed. The next call removes the rest.
    """
    backups = place.backups()
    kept = [name for name, is_finished in backups.items() if is_finished][-count:]
    needed = {file.key for name in kept for file in place.read(name).files}
    old = [name for name in backups if kept and name < kept[0]]
    for name in old:
        place.remove(name)
    unneeded = [key for key in place.storage.old_keys(min_age) if key not in needed]
    for key in unneeded:
        place.storage.delete(key)
    place.storage.delete_old_empty_folders(min_age)
    return Removed(len(old), len(unneeded))
