"""What a file with a model's weights holds, without a file: which model's weights fit into which is Keras's to say."""

from typing import Any

import keras
from keras.src.saving import saving_lib

Shapes = dict[str, list[list[int | None]]]


class _Store(saving_lib.NpzIOStore):  # type: ignore[misc] # Keras has no types
    """Takes what Keras would write."""

    def __init__(self) -> None:
        self.written: dict[str, dict[str, Any]] = {}

    def make(self, path: str, metadata: Any = None) -> dict[str, Any]:  # noqa: ARG002 -- Keras names it
        return self.written.setdefault(path, {})

    def __bool__(self) -> bool:
        return True


def stored_shapes(model: keras.Model) -> Shapes | None:
    """Shapes of the variables, by their places in the file; None where Keras cannot tell without their values."""
    store = _Store()
    try:
        saving_lib._save_state(model, store, None, "", set())
    except Exception:
        return None
    return {path: [list(one.shape) for one in own.values()] for path, own in store.written.items() if own}
