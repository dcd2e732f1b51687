"""What Keras writes and reads for one object, without a file."""

from collections.abc import Mapping
from typing import Any, Protocol

from keras.src.saving import saving_lib


class HasShape(Protocol):
    """An array, or what is known of one."""

    @property
    def shape(self) -> Any: ...

    @property
    def dtype(self) -> Any: ...


Variables = Mapping[str, HasShape]
"""The variables of a layer by their paths in it."""


class WrittenStore(saving_lib.NpzIOStore):  # type: ignore[misc] # Keras has no types
    """Takes what Keras would write into a file."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}

    def make(self, path: str, metadata: Any = None) -> dict[str, Any]:  # noqa: ARG002 -- Keras passes it by name
        return self.objects.setdefault(path, {})

    def __bool__(self) -> bool:
        return True


class ArrayStore(saving_lib.NpzIOStore):  # type: ignore[misc] # Keras has no types
    """Gives Keras the arrays of one layer as if they came from a file."""

    def __init__(self, variables: Variables) -> None:
        self._objects = by_object(variables)

    def get(self, path: str) -> Mapping[str, Any]:
        return self._objects.get(f"{path}/vars" if path else "vars", {})

    def has_path(self, path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in self._objects)

    def __bool__(self) -> bool:
        return True


def by_object(variables: Variables) -> dict[str, dict[str, HasShape]]:
    """Return variables by the paths of their objects, and their names there."""
    objects: dict[str, dict[str, HasShape]] = {}
    for path, variable in variables.items():
        folder, _, name = path.rpartition("/")
        objects.setdefault(folder, {})[name] = variable
    return objects
