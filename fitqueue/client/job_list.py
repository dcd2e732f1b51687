"""The jobs of a list, which a notebook shows as a table."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Self

from fitqueue.pictures.jobs import picture_of_jobs
from fitqueue.pictures.picture import Picture, Pictured
from fitqueue.views import JobSummary

_SHOWN: Final = 20


class JobList(Iterator[JobSummary], Pictured):
    """An iterator over jobs. To be shown, it looks ahead, and yields what it has shown all the same."""

    def __init__(self, jobs: Iterator[JobSummary], count: Callable[[], int]) -> None:
        self._jobs = jobs
        self._count = count
        self._ahead: deque[JobSummary] = deque()

    @property
    def total(self) -> int:
        """How many jobs pass the filters now, however many were read. Each look at it is a request."""
        return self._count()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> JobSummary:
        return self._ahead.popleft() if self._ahead else next(self._jobs)

    def __repr__(self) -> str:
        return "<JobList: list(…) gets the jobs, total is their number>"

    def _picture(self) -> Picture:
        self._ahead.extend(islice(self._jobs, max(0, _SHOWN + 1 - len(self._ahead))))
        return picture_of_jobs(list(self._ahead)[:_SHOWN], has_more=len(self._ahead) > _SHOWN)
