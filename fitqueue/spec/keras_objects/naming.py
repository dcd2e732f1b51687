"""Names of Keras objects: those that a job may give, and those that Keras gives.

An object without a name gets its class name in snake case, numbered from the second one on.
"""

import re
from collections import Counter
from typing import Any, Final

_LETTERS: Final = "letters from a to z, digits, dots, dashes and underscores"

SCOPE_NAME: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": "[A-Za-z0-9_.>-]{1,255}",
    "title": f"a name of 1 to 255 {_LETTERS}",
}
"""The name of an object that computes: TensorFlow names the operations of a graph after it."""

ROOT_NAME: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": "[A-Za-z0-9.][A-Za-z0-9_.>-]{0,254}",
    "title": f"a name of 1 to 255 {_LETTERS}, beginning with a letter, a digit or a dot",
}
"""The same for an object around which no other computes: the whole model, the optimizer."""

ANY_NAME: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]{1,255}",
    "title": "a name of 1 to 255 characters without control characters",
}
"""A name that TensorFlow does not see: that of a metric, or of an output in an object of outputs."""


def has_pattern(name: str, schema: dict[str, Any]) -> bool:
    """Return whether a name is one of those that a schema above describes."""
    return re.fullmatch(schema["pattern"], name) is not None


def snake_case(class_name: str) -> str:
    """Return a class name in Keras's snake case, in which a digit does not end a word: `max_pooling2d`."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", class_name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


class AutoNames:
    """Gives names as a fresh Keras process does."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def next(self, class_name: str) -> str:
        """Return the name of the next object of this class."""
        stem = snake_case(class_name)
        count = self._counts[stem]
        self._counts[stem] += 1
        return f"{stem}_{count}" if count else stem
