"""Notices that say the same of several places, as one, and no more than anyone reads."""

from collections.abc import Iterable
from typing import Final

from fitqueue.spec.findings import NoticeCode
from fitqueue.views import Notice

MAX_NOTICES: Final = 100
MAX_POINTERS: Final = 100
"""The most places that a notice lists."""


def grouped(notices: Iterable[Notice]) -> list[Notice]:
    """Return one notice for all that say the same of a field or argument of one name, in the order of the first.

    Notices that are too many are counted in a last one.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for notice in notices:
        groups.setdefault((notice.code, notice.message, _name_in(notice.pointer)), []).append(notice.pointer)
    return _bounded([_notice(code, message, pointers) for (code, message, _), pointers in groups.items()])


def _notice(code: str, message: str, pointers: list[str]) -> Notice:
    different = list(dict.fromkeys(pointers))
    return Notice(pointer=pointers[0], code=code, message=message, pointers=different[:MAX_POINTERS])


def _bounded(notices: list[Notice]) -> list[Notice]:
    if len(notices) <= MAX_NOTICES:
        return notices
    kept = notices[: MAX_NOTICES - 1]
    message = f"There are {len(notices) - len(kept)} more notices, which are left out."
    return [*kept, Notice(pointer="", code=str(NoticeCode.MORE), message=message)]


def _name_in(pointer: str) -> str:
    """Return the last token of a pointer that is not the index of an item."""
    return next((token for token in reversed(pointer.split("/")) if not token.isdecimal()), "")
