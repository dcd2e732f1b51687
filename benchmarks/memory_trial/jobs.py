"""Hostile jobs: each takes its memory in another way."""

from collections.abc import Iterator

from benchmarks.memory_trial.data_jobs import data_jobs, prepared_jobs, weights_jobs
from benchmarks.memory_trial.layer_jobs import constants_jobs, layers_jobs, sequences_jobs
from benchmarks.memory_trial.making import Job
from benchmarks.memory_trial.random_jobs import random_jobs


def hostile_jobs() -> Iterator[Job]:
    """Yield all jobs."""
    yield from data_jobs()
    yield from prepared_jobs()
    yield from weights_jobs()
    yield from layers_jobs()
    yield from sequences_jobs()
    yield from constants_jobs()
    yield from random_jobs(11, 24)
