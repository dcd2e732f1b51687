"""Cursors of lists of jobs: where the next page begins, in the order in which the jobs were asked for.

A cursor holds the values that the order compares, not only an id: the job may be deleted, or end, before the next page
is asked for. That of the newest jobs is an id alone, as it was before there were other orders.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fitqueue.job_sort import JobSort
from service.models import Job
from service.store.cursors import invalid_cursor

MAX_CHARACTERS: Final = 800
"""A name has at most 128 characters, each of which has four bytes at most, and base64 makes four of three."""

_OTHER: Final = re.compile(rf"({'|'.join(set(JobSort) - {JobSort.NEWEST})})\.([A-Za-z0-9_=-]*|~)\.([^.]+)")
_ID: Final = re.compile(r"job_[A-Za-z0-9_]+")
_NONE: Final = "~"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class SortKey:
    """What the order of jobs compares: a value, then the id."""

    id: str
    value: str | datetime | None = None
    """The name or the end of the job; None if it has none, or if the order is that of ids."""


def key_of(job: Job, sort: JobSort) -> SortKey:
    if sort is JobSort.NAME:
        return SortKey(job.id, job.name)
    if sort is JobSort.FINISHED:
        return SortKey(job.id, job.finished_at)
    return SortKey(job.id)


def encode(key: SortKey, sort: JobSort) -> str:
    if sort is JobSort.NEWEST:
        return key.id
    return f"{sort}.{_encode_value(key.value)}.{key.id}"


def decode(cursor: str, sort: JobSort) -> SortKey:
    """Return the key after which the page begins.

    Raises:
        InvalidRequest: the cursor is that of another order, or no list has given it.
    """
    match = _OTHER.fullmatch(cursor)
    found = JobSort(match[1]) if match else JobSort.NEWEST
    if found is not sort:
        raise invalid_cursor(
            cursor, f"A cursor of `sort={found}` was sent with `sort={sort}`.", f"a cursor of `sort={sort}`"
        )
    unknown = invalid_cursor(cursor, "No list of jobs has given this cursor.")
    if match is None:
        if _ID.fullmatch(cursor) is None:
            raise unknown
        return SortKey(cursor)
    try:
        return SortKey(match[3], _decode_value(match[2], sort))
    except (ValueError, OverflowError):
        raise unknown from None


def _encode_value(value: str | datetime | None) -> str:
    if value is None:
        return _NONE
    if isinstance(value, str):
        return urlsafe_b64encode(value.encode()).decode()
    return str((value - _EPOCH) // _MICROSECOND)


def _decode_value(text: str, sort: JobSort) -> str | datetime | None:
    """Return the value in a cursor.

    Raises:
        ValueError: it is not one.
        OverflowError: it is a time that does not exist.
    """
    if text == _NONE:
        return None
    if sort is JobSort.NAME:
        return _checked(urlsafe_b64decode(text).decode())
    if sort is JobSort.FINISHED:
        return _EPOCH + int(text) * _MICROSECOND
    raise ValueError("This order compares ids alone.")


def _checked(name: str) -> str:
    if "\0" in name:  # PostgreSQL cannot compare it
        raise ValueError("A name has no NUL.")
    return name
