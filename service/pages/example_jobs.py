"""The examples that a new job can start from. The package carries them, so that an installed service has them, too."""

from functools import cache
from pathlib import Path
from typing import Final

QUICKEST: Final = "digits_dense"
"""The example that a CPU trains in seconds, with data that the package carries."""

_FOLDER: Final = Path(__file__).parent / "examples"


@cache
def texts() -> dict[str, str]:
    """Return the JSON of each example by its name, the quickest one first."""
    names = sorted((file.stem for file in _FOLDER.glob("*.json")), key=lambda name: (name != QUICKEST, name))
    return {name: (_FOLDER / f"{name}.json").read_text("utf-8") for name in names}
