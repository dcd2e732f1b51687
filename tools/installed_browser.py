"""The browser of the operating system: Chromium, or Chrome, which is built from it."""

import shutil
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Return the path of the first that is on the PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)
