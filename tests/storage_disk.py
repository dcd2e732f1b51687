"""A disk under the folder of a storage that can be taken away, filled, and made read-only."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

SIZE: Final = 1024**3
"""More than all files of a run. It takes only as much memory as they do."""


class StorageDisk:
    """A disk in memory, which only root can mount.

    If it cannot be mounted, `can_fail` is False and `folder` is an ordinary folder.
    """

    def __init__(self, folder: Path) -> None:
        """Create the folder and mount the disk there."""
        self.folder = folder
        self._disk = folder.with_name(f"{folder.name}-disk")
        for path in (folder, self._disk):
            path.mkdir()
        self.can_fail = self._run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "storage", self._disk)
        if self.can_fail:
            self.can_fail = self.attach()

    def detach(self) -> bool:
        """Leave an empty folder; return whether that worked. Open files stay usable."""
        return self._run("umount", "--lazy", self.folder)

    def attach(self) -> bool:
        return self._run("mount", "--bind", self._disk, self.folder)

    def fill(self) -> bool:
        """Leave no room; return whether that worked."""
        return self._remount(f"size={shutil.disk_usage(self._disk).used}")

    def free(self) -> bool:
        return self._remount(f"size={SIZE}")

    def make_read_only(self) -> bool:
        """Refuse all writes; return whether that worked. It does not while a file is open for writing."""
        return self._remount("ro")

    def make_writable(self) -> bool:
        return self._remount("rw")

    def close(self) -> None:
        if self.can_fail:
            self.detach()
            self._run("umount", "--lazy", self._disk)
            self.can_fail = False

    def _remount(self, option: str) -> bool:
        return self._run("mount", "-o", f"remount,{option}", self._disk)

    @staticmethod
    def _run(*command: str | Path) -> bool:
        with suppress(OSError):
            return subprocess.run(command, check=False, capture_output=True).returncode == 0
        return False
