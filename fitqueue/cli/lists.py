"""The commands that list jobs: jobs, queue."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import click

from fitqueue.cli.job_names import short_ids
from fitqueue.cli.options import json_option, label_of, mine_option, owner_of, owner_option, project_filter
from fitqueue.cli.output import for_terminal, print_json, print_table, remark
from fitqueue.cli.screen import left_text, starts_text, state_text
from fitqueue.cli.tables import Column, if_several
from fitqueue.cli.text import age, number
from fitqueue.client import Client
from fitqueue.job_sort import JobSort
from fitqueue.states import JobState
from fitqueue.views import JobSummary, QueuedJob

_LIMIT: Final = 20


@click.command()
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in JobState]),
    help="Only jobs in this state. If repeated: in any of these states.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only jobs with this label, which the job's `labels` gave it. If repeated: with all of these labels.",
)
@click.option("--pool", help="Only jobs of this pool.")
@click.option("--name", help="Only jobs with this name.")
@owner_option
@mine_option
@project_filter
@click.option("--submitted-by", metavar="NAME", help="Only jobs that were submitted with a token of this name.")
@click.option("--dataset", metavar="NAME_OR_ID", help="Only jobs that take data or weights from this data set.")
@click.option(
    "--sort",
    type=click.Choice([str(sort) for sort in JobSort]),
    default=str(JobSort.NEWEST),
    show_default=True,
    help="The order of the jobs. `newest` and `oldest`: by the time at which they were submitted. `name`: those "
    "without a name last. `finished`: those that ended last, then those that have not ended.",
)
@click.option(
    "--limit", type=click.IntRange(1), help=f"Show at most this many jobs; by default {_LIMIT}, and all with --json."
)
@json_option
def jobs(
    states: tuple[str, ...],
    labels: tuple[str, ...],
    owner: str | None,
    mine: bool,
    limit: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """List jobs: their names, states, progress and best values, and when they will end or how many are before them.

    OWNER and PROJECT are shown if there is more than one.
    """
    with Client() as client:
        owner = owner_of(client, owner, mine=mine)
        matching = client.list(state=states, labels=map(label_of, labels), owner=owner, **options)
        if as_json:
            print_json(list(islice(matching, limit)))
            return
        shown = limit or _LIMIT
        rows = list(islice(matching, shown + 1))
        total = matching.total if len(rows) > shown else None
    if not rows:
        remark("No jobs.")
        return
    _print_jobs(rows[:shown])
    if len(rows) > shown:
        remark(f"{shown} of {total} jobs; more with --limit.")


@click.command()
@click.option("--pool", help="Only jobs of this pool.")
@json_option
def queue(pool: str | None, as_json: bool) -> None:
    """List the jobs that wait, in the order in which workers claim them: what each waits for, and when it starts."""
    with Client() as client:
        rows = list(client.queue(pool))
    if as_json:
        print_json(rows)
    elif rows:
        _print_queue(rows)
    else:
        remark("No job is waiting.")


def shown_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return what a table shows for each id: a terminal its beginning, which commands take; a pipe all of it."""
    return short_ids(ids) if for_terminal() else {id: id for id in ids}


def _print_jobs(rows: Sequence[JobSummary]) -> None:
    ids = shown_ids([row.id for row in rows])
    columns: list[Column | str] = ["ID", Column("NAME", wraps=True), "STATE", Column("REASON", wraps=True, rank=7)]
    columns += [
        "PROGRESS",
        Column("BEST", wraps=True, narrow=True),
        Column("LEFT OR PLACE", wraps=True, rank=5),
        Column("OWNER", wraps=True, rank=6),
        Column("PROJECT", wraps=True, rank=8),
        Column("AGE", rank=9),
    ]
    owners, projects = if_several([row.owner for row in rows]), if_several([row.project for row in rows])
    now = datetime.now(UTC)
    print_table(
        columns,
        [
            [
                ids[row.id],
                row.name or "",
                state_text(row),
                row.reason or "",
                f"{row.progress.epoch}/{row.progress.epochs}",
                f"{row.best.monitor} {number(row.best.value)}" if row.best else "",
                _left_or_place(row),
                owner,
                project,
                age(row.created_at, now),
            ]
            for row, owner, project in zip(rows, owners, projects, strict=True)
        ],
    )


def _print_queue(rows: Sequence[QueuedJob]) -> None:
    ids = shown_ids([row.id for row in rows])
    pools = if_several([row.pool for row in rows])
    owners, projects = if_several([row.owner for row in rows]), if_several([row.project for row in rows])
    now = datetime.now(UTC)
    columns: list[Column | str] = ["PLACE", "ID", Column("NAME", wraps=True, rank=3), Column("POOL", rank=4)]
    columns += [Column("PRIORITY", wraps=True, rank=9), Column("GPUS", rank=8), Column("WAITS FOR", wraps=True, rank=1)]
    columns += [Column("STARTS IN", wraps=True, rank=2), Column("OWNER", wraps=True, rank=6)]
    print_table(
        [*columns, Column("PROJECT", wraps=True, rank=7), Column("SINCE", rank=5)],
        [
            [
                str(row.position),
                ids[row.id],
                row.name or "",
                pool,
                ", ".join(filter(None, [str(row.priority or ""), "preemptible" if row.preemptible else ""])),
                str(row.gpus or ""),
                row.waiting_for,
                starts_text(row),
                owner,
                project,
                age(row.queued_since, now),
            ]
            for row, pool, owner, project in zip(rows, pools, owners, projects, strict=True)
        ],
    )


def _left_or_place(job: JobSummary) -> str:
    """Return how long a running job will still train, or the place of a waiting one and when it starts."""
    if job.queue is None:
        return left_text(job)
    starts = starts_text(job.queue)
    return f"no. {job.queue.position}{starts and f', starts in {starts}'}"
