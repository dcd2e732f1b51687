"""Notices that say the same of several places, as one."""

from collections.abc import Iterable

from fitqueue.views import Notice


def grouped(notices: Iterable[Notice]) -> list[Notice]:
    """Return one notice for all that say the same of a field or argument of one name, in the order of the first."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for notice in notices:
        groups.setdefault((notice.code, notice.message, _name_in(notice.pointer)), []).append(notice.pointer)
    return [
        Notice(pointer=pointers[0], code=code, message=message, pointers=list(dict.fromkeys(pointers)))
        for (code, message, _), pointers in groups.items()
    ]


def _name_in(pointer: str) -> str:
    """Return the last token of a pointer that is not the index of an item."""
    return next((token for token in reversed(pointer.split("/")) if not token.isdecimal()), "")
