"""The base of what the client returns: short where it is printed, and with our names alone in tab completion."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Final

from pydantic import BaseModel
from pydantic._internal._model_construction import ModelMetaclass

from fitqueue.text import truncate

_MAX_TEXT: Final = 80
_OF_PYDANTIC: Final = frozenset(name for name in dir(BaseModel) if not name.startswith("__"))


class _ViewType(ModelMetaclass):  # pydantic has no public name for the metaclass of its models
    # IPython completes the names of an object from its class, too.
    def __dir__(cls) -> list[str]:  # noqa: N805 - the methods of a metaclass have a class
        return _ours(super().__dir__())


class View(BaseModel, metaclass=_ViewType):
    """A part of an answer of the API.

    Attributes:
        SHOWN: the fields that are shown where the view is printed; None: all of them.
    """

    SHOWN: ClassVar[tuple[str, ...] | None] = None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        fields = type(self).model_fields if self.SHOWN is None else self.SHOWN
        return self._printed((name, getattr(self, name)) for name in fields)

    def __dir__(self) -> list[str]:
        return _ours(super().__dir__())

    @staticmethod
    def _printed(values: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Yield what there is in short: long texts are cut, and moments are written as in JSON."""
        return ((name, _short(value)) for name, value in values if value not in (None, "", [], {}))


def _ours(names: Iterable[str]) -> list[str]:
    return [name for name in names if name not in _OF_PYDANTIC and not name.isupper()]


def _short(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return truncate(value, _MAX_TEXT) if isinstance(value, str) else value
