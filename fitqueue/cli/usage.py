"""The command that shows what a job, users and projects have used."""

from collections.abc import Callable
from typing import Final, Literal

import click

from fitqueue.cli.job_names import find_job
from fitqueue.cli.options import json_option
from fitqueue.cli.output import print_facts, print_json, print_table
from fitqueue.cli.tables import Column
from fitqueue.cli.text import duration, size
from fitqueue.client import Client
from fitqueue.views import JobUsage, OwnerUsage, StoredBytes, Use

_OWNERS: Final[tuple[Literal["user"], Literal["project"]]] = ("user", "project")


@click.command()
@click.argument("job", required=False)
@json_option
def usage(job: str | None, as_json: bool) -> None:
    """Show what JOB has used until now: time of GPUs and processors, memory, and storage.

    Without JOB, show what each user and each project has used, with the jobs that are deleted.

    A second with two GPUs counts as two seconds of GPU time, and so do two cores that compute.
    """
    if job is None:
        _show_owners(as_json)
    else:
        _show_job(job, as_json)


def _show_owners(as_json: bool) -> None:
    with Client() as client:
        uses = {by: client.usage_by(by) for by in _OWNERS}
    if as_json:
        print_json(uses)
        return
    for number, (by, rows) in enumerate(uses.items()):
        if number:
            click.echo()
        print_table([Column(by.upper(), wraps=True), "GPU TIME", "CPU TIME", "STORED", "JOBS"], map(_owner_row, rows))


def _owner_row(use: OwnerUsage) -> list[str]:
    times = (duration(use.gpu_seconds or None), duration(use.cpu_seconds or None))
    return [use.name, *times, size(use.stored_bytes), f"{use.jobs:,}"]


def _show_job(job: str, as_json: bool) -> None:
    with Client() as client:
        job_id = find_job(client, job)
        used = client.usage(job_id)
    if as_json:
        print_json(used)
        return
    rows = [
        ("Ran", lambda use: duration(use.seconds)),
        ("GPU time", lambda use: duration(use.gpu_seconds or None)),
        ("CPU time", lambda use: duration(use.cpu_seconds)),
        ("Peak memory", lambda use: size(use.peak_memory_bytes)),
        ("Peak GPU memory", lambda use: size(use.peak_gpu_memory_bytes)),
    ]
    print_facts([("Job", job_id), *((name, _text(used, text)) for name, text in rows), ("Stored", _stored(used))])


def _text(used: JobUsage, text: Callable[[Use], str]) -> str:
    """Return what all attempts used, and what the last of several used."""
    total, last = text(used.all_attempts), text(used.last_attempt)
    return f"{total} ({last} in attempt {used.attempt})" if used.attempt > 1 and last else total


def _stored(used: JobUsage) -> str:
    sizes = {name: getattr(used.stored_bytes, name) for name in StoredBytes.model_fields if name != "total"}
    parts = ", ".join(f"{name} {size(count)}" for name, count in sizes.items() if count)
    return f"{size(used.stored_bytes.total)} ({parts})" if parts else size(0)
