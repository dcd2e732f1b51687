"""Check whether the weights of another job can be loaded into the model, without having either model's weights."""

from typing import Any

import keras
from keras.src.saving import saving_lib

from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer, listed

Shapes = dict[str, list[list[int | None]]]
"""The shapes of the variables in a file of weights, by their paths in the file."""


def check_initial_weights(model: keras.Model, initial_model: keras.Model | None, pointer: Pointer) -> None:
    """Check that the weights of the initial model have the shapes that this model needs.

    Args:
        initial_model: the model of the other job; None if there is none, or if it cannot be built.
    """
    if initial_model is None:
        return
    needed, stored = stored_shapes(model), stored_shapes(initial_model)
    if needed is None or stored is None:
        return
    mismatches = [path for path, shapes in needed.items() if stored.get(path) != shapes]
    if mismatches:
        path = mismatches[0]
        pointer.add_fault(
            FaultCode.CONFLICT,
            f"The weights of that job do not match this model: at {path!r} they have the shapes "
            f"{stored.get(path, [])}.",
            received=stored.get(path, []),
            expected=f"{needed[path]}, as in this model",
        )
    elif unused := [path for path in stored if path not in needed]:
        message = f"The model of that job has weights that this one does not have: {listed(unused)}."
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)


def stored_shapes(model: keras.Model) -> Shapes | None:
    """Return the shapes that a file with the model's weights would hold; None if Keras needs the weights to tell."""
    store = _Store()
    try:
        saving_lib._save_state(model, store, None, "", set())
    except Exception:
        return None
    return {
        path: [list(variable.shape) for variable in variables.values()]
        for path, variables in store.variables.items()
        if variables
    }


class _Store(saving_lib.NpzIOStore):  # type: ignore[misc] # Keras has no types
    """Takes what Keras would write into a file."""

    def __init__(self) -> None:
        self.variables: dict[str, dict[str, Any]] = {}

    def make(self, path: str, metadata: Any = None) -> dict[str, Any]:  # noqa: ARG002 -- Keras passes it by name
        return self.variables.setdefault(path, {})

    def __bool__(self) -> bool:
        return True
