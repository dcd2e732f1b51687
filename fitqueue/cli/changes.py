"""The commands that change jobs: move, change."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from fitqueue.cli import screen
from fitqueue.cli.batch import for_each
from fitqueue.cli.job_names import find_job
from fitqueue.cli.options import label_of
from fitqueue.client import Client
from fitqueue.states import WAITING_STATES
from fitqueue.views import JobView


class _Seconds(click.ParamType[int]):
    """A number of seconds; 0 stands for the word `none`, which removes a limit."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return 0 if value == "none" else click.IntRange(1).convert(value, param, ctx)


@click.command()
@click.argument("jobs", nargs=-1, required=True)
@click.option("--first", is_flag=True, help="Before all other jobs of the pool: raises the priority as far as needed.")
@click.option("--priority", type=int, help="From -100 to 100. Jobs with a higher priority start sooner.")
@click.option("--pool", help="To the queue of another pool.")
def move(jobs: tuple[str, ...], first: bool, priority: int | None, pool: str | None) -> int:
    """Move JOBS that wait: to the front of the queue, to another priority, to another pool.

    With --first, several jobs are at the front in the order in which they are named.
    """
    if first and priority is not None:
        raise click.UsageError("--first and --priority exclude each other.")
    fields: dict[str, Any] = {"priority": priority, "pool": pool}
    fields = {name: value for name, value in fields.items() if value is not None}
    if not fields and not first:
        raise click.UsageError("Say where to: --first, --priority or --pool.")

    def action(client: Client, job: str) -> JobView:
        view = client.change(job, **fields) if fields else None
        return client.move_to_front(job) if first or view is None else view

    return _change_each(jobs[::-1] if first else jobs, action)


@click.command()
@click.argument("jobs", nargs=-1, required=True)
@click.option("--name", help="The new name; an empty one removes it.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Add or replace a label. Repeatable.")
@click.option("--no-label", "removed", multiple=True, metavar="KEY", help="Remove a label. Repeatable.")
@click.option("--max-runtime", type=_Seconds(), help="How long it may train; `none` removes the limit.")
@click.option("--max-queued", type=_Seconds(), help="How long it may wait for its first worker; `none`: for ever.")
@click.option(
    "--preemptible/--no-preemptible",
    default=None,
    help="Run it on devices that nobody else needs, and make room for others.",
)
@click.option("--keep/--no-keep", default=None, help="Exempt it from the retention of its project; at any time.")
def change(
    jobs: tuple[str, ...],
    name: str | None,
    labels: Sequence[str],
    removed: Sequence[str],
    max_runtime: int | None,
    max_queued: int | None,
    preemptible: bool | None,
    keep: bool | None,
) -> int:
    """Change the name, the labels or the limits of JOBS that wait, or whether they make room for others.

    `fitqueue move` changes their places.

    --keep and --no-keep alone also change jobs that run or have ended.
    """
    values = {"name": name, "max_runtime_seconds": max_runtime, "max_queued_seconds": max_queued}
    fields: dict[str, Any] = {field: value or None for field, value in values.items() if value is not None}
    if labels or removed:
        fields["labels"] = {**dict.fromkeys(removed), **dict(map(label_of, labels))}
    flags = {"preemptible": preemptible, "keep": keep}
    fields |= {field: value for field, value in flags.items() if value is not None}
    if not fields:
        options = "--name, --label, --no-label, --max-runtime, --max-queued, --preemptible or --keep"
        raise click.UsageError(f"Say what to change: {options}.")
    return _change_each(jobs, lambda client, job: client.change(job, **fields))


def _change_each(jobs: Sequence[str], action: Callable[[Client, str], JobView]) -> int:
    return for_each(jobs, lambda client, job: _outcome(action(client, find_job(client, job))))


def _outcome(job: JobView) -> str:
    """Return for example `queued, no. 1 of the pool default, priority 5`, or `succeeded, kept`."""
    if job.state not in WAITING_STATES:
        return f"{job.state}, {'kept' if job.keep else 'not kept'}"
    place = f"no. {job.queue.position} of the pool {job.pool}" if job.queue else f"pool {job.pool}"
    return f"{job.state}, {place}, {screen.priority_text(job)}"
