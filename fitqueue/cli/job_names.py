"""Which job a word on the command line means: an id, the beginning of one, a name, or `latest`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from fitqueue.client import Client
from fitqueue.errors import JobNotFound
from fitqueue.text import one_line, truncate
from fitqueue.views import JobSummary

LATEST: Final = "latest"
"""Stands for the job that was submitted last, even if a job has this name."""

_ID: Final = re.compile(r"job_[0-9a-z]{24}")
_PREFIX: Final = re.compile(r"job_[0-9a-z]{1,23}")
_SHORTEST: Final = len("job_") + 9
"""Ids begin with the time: jobs that are a millisecond apart differ in so many characters."""
_CANDIDATES: Final = 5


def find_job(client: Client, word: str) -> str:
    """Return the id of the job that a word means. A whole id is not looked up, and costs no request.

    Raises:
        JobNotFound: no job matches, or several do, which the message lists.
    """
    if _ID.fullmatch(word):
        return word
    if word == LATEST:
        return _only(word, list(islice(client.list(), 1)))
    named = list(islice(client.list(name=word), _CANDIDATES + 1)) if word else []
    if not named and _PREFIX.fullmatch(word):
        named = list(islice(_beginning_with(client.list(), word), _CANDIDATES + 1))
    return _only(word, named)


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Return for each id the shortest beginning that tells it from the others, and from most jobs to come."""
    known = set(ids)
    lengths = range(_SHORTEST, max(map(len, known), default=0))
    length = next((length for length in lengths if len({id[:length] for id in known}) == len(known)), None)
    return {id: id[:length] for id in known}


def _beginning_with(jobs: Iterator[JobSummary], prefix: str) -> Iterator[JobSummary]:
    """Yield the jobs whose ids begin like this. The newest jobs come first, in the order of their ids."""
    for job in jobs:
        if job.id.startswith(prefix):
            yield job
        elif job.id < prefix:
            return


def _only(word: str, jobs: Sequence[JobSummary]) -> str:
    if len(jobs) == 1:
        return jobs[0].id
    shown = truncate(word, 200)
    if not jobs:
        raise JobNotFound("There is no job yet." if word == LATEST else f"There is no job '{shown}'.")
    lines = [f"  {job.id}  {job.state:<9}  {one_line(job.name or '')}".rstrip() for job in jobs[:_CANDIDATES]]
    more = ["  … and more"] if len(jobs) > _CANDIDATES else []
    raise JobNotFound("\n".join([f"'{shown}' may be one of several jobs; use more of its id:", *lines, *more]))
