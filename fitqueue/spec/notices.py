"""Notices that say the same of several places, as one."""

from collections.abc import Iterable

from fitqueue.views import Notice


def grouped(notices: Iterable[Notice]) -> list[Notice]:
    """Return one notice for all that have the same code and message, in the order of the first of each."""
    groups: dict[tuple[str, str], list[str]] = {}
    for notice in notices:
        groups.setdefault((notice.code, notice.message), []).append(notice.pointer)
    return [
        Notice(pointer=pointers[0], code=code, message=message, pointers=list(dict.fromkeys(pointers)))
        for (code, message), pointers in groups.items()
    ]
