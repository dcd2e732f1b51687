"""A small disk that can be filled to the last byte and emptied again."""

import errno
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

SIZE: Final = 64 * 1024**2
_CHUNK: Final = 64 * 1024


class SmallDisk:
    """A disk in memory, which only root can mount.

    If it cannot be mounted, `can_be_filled` is False and `folder` is an ordinary folder.
    """

    def __init__(self, folder: Path) -> None:
        """Create the folder and mount the disk there."""
        folder.mkdir()
        self.folder = folder
        self.can_be_filled = self._mount()
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Write until no byte is free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (_CHUNK, 4096, 1):
                with suppress(_DiskFull):
                    while True:
                        _write(file.fileno(), bytes(size))

    def free(self) -> None:
        """Delete what `fill` wrote."""
        self._ballast.unlink(missing_ok=True)

    def left(self) -> list[Path]:
        """Return the files and folders on the disk, except for what `fill` wrote."""
        return [path for path in self.folder.iterdir() if path != self._ballast]

    def close(self) -> None:
        if self.can_be_filled:
            subprocess.run(["umount", "--lazy", self.folder], check=False)
            self.can_be_filled = False

    def _mount(self) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "chaos", str(self.folder)]
        with suppress(OSError):
            return subprocess.run(command, check=False, capture_output=True).returncode == 0
        return False


class _DiskFull(Exception):
    pass


def _write(file: int, data: bytes) -> None:
    """Write the data.

    Raises:
        _DiskFull: not all of it fits.
    """
    try:
        if os.write(file, data) < len(data):
            raise _DiskFull
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _DiskFull from error
