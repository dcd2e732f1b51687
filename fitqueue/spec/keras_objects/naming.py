"""Names that Keras gives to what has none: the class's name in snake case, numbered from the second one on."""

import re
from collections import Counter


def snake_case(class_name: str) -> str:
    """`MaxPooling2D` → `max_pooling2d`, as Keras has it: a digit does not end a word."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", class_name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


class Names:
    """The names that a fresh Keras process would give, one after the other."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def next(self, class_name: str) -> str:
        stem = snake_case(class_name)
        count = self._given[stem]
        self._given[stem] += 1
        return f"{stem}_{count}" if count else stem
