"""The names that Keras gives to objects without one: the class name in snake case, numbered from the second one on."""

import re
from collections import Counter


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
