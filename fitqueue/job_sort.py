"""The orders in which jobs are listed."""

from enum import StrEnum


class JobSort(StrEnum):
    """An order of jobs. Jobs that tie are in the order of their ids: newest first, if the order is descending."""

    NEWEST = "newest"
    """The job that was submitted last comes first."""
    OLDEST = "oldest"
    """The job that was submitted first comes first."""
    NAME = "name"
    """By name; jobs without one come last."""
    FINISHED = "finished"
    """The job that ended last comes first; jobs that have not ended come last."""
