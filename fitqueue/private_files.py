"""Files that only their owner can read, at any moment: tokens and passwords."""

import os
from pathlib import Path


def create_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read.

    Raises:
        FileExistsError: something is at `path`, even if it is only a dangling link.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def replace_private(path: Path, text: str) -> None:
    """Write such a file in place of the one at `path`, if there is one. Readers see the old text or the new one."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    create_private(temporary, text)
    temporary.replace(path)
