"""The commands about workers: workers, drain."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import click
from rich.text import Text

from fitqueue.cli.batch import for_each
from fitqueue.cli.lists import shown_ids
from fitqueue.cli.options import json_option
from fitqueue.cli.output import cell, print_json, print_table, remark
from fitqueue.cli.tables import Column
from fitqueue.cli.text import local_time, size
from fitqueue.cli.worker_names import find_worker
from fitqueue.client import Client
from fitqueue.states import JobState
from fitqueue.views import GPUUse, WorkerView

_POLL_SECONDS: Final = 2.0


@click.command()
@click.option("--all", "with_gone", is_flag=True, help="Also list the workers of the last day that are gone.")
@json_option
def workers(with_gone: bool, as_json: bool) -> None:
    """List the workers with their devices, how much of them is used, and the jobs that they train.

    --json lists all workers of the last day, and says which of them are `alive`.
    """
    with Client() as client:
        known = client.workers()
        names = {job.id: job.name for job in client.list(state=JobState.RUNNING)} if not as_json and known else {}
    if as_json:
        print_json(known)
        return
    shown = sorted((row for row in known if row.alive or with_gone), key=lambda row: (row.host, row.id))
    if shown:
        _print_workers(shown, names)
    else:
        remark("No worker is alive." if not known else "No worker is alive; `fitqueue workers --all` lists gone ones.")


@click.command()
@click.argument("workers", nargs=-1, required=True)
@click.option(
    "--timeout",
    type=click.IntRange(0),
    metavar="SECONDS",
    help="Requeue the jobs that still train after so long; they resume on other workers. Without it, they train on.",
)
@click.option("--wait", is_flag=True, help="Return when the workers train no job any more.")
@click.option("--end", is_flag=True, help="End the drain: the workers claim jobs again.")
def drain(workers: tuple[str, ...], timeout: int | None, wait: bool, end: bool) -> int:
    """Drain WORKERS, each named by its id or its host: they claim no more jobs, and finish those that they train.

    A worker that is stopped drains by itself; see FITQUEUE_DRAIN_SECONDS.
    """
    if end and (wait or timeout is not None):
        raise click.UsageError("--end does not go with --timeout and --wait.")

    def action(client: Client, word: str) -> str:
        worker_id = find_worker(client, word)
        if end:
            client.end_drain(worker_id)
            return "claims jobs again"
        worker = client.drain(worker_id, timeout=timeout)
        if wait:
            _wait_until_idle(client, worker_id)
            return "drained"
        return f"draining, {_jobs(worker)}"

    return for_each(workers, action)


def _wait_until_idle(client: Client, worker_id: str) -> None:
    """Return when the worker trains no job, or is gone."""
    while any(worker.jobs for worker in client.workers() if worker.id == worker_id):
        time.sleep(_POLL_SECONDS)


def _jobs(worker: WorkerView) -> str:
    """Return for example `2 jobs until Nov 28 14:05 at the latest`."""
    count = len(worker.jobs)
    if not count:
        return "no job"
    end = f" until {local_time(worker.drains_until)} at the latest" if worker.drains_until else ""
    return f"{count} job{'' if count == 1 else 's'}{end}"


def _state(worker: WorkerView) -> str | Text:
    if not worker.alive:
        return cell("gone", "red")
    return cell("draining", "yellow") if worker.draining_since else cell("alive", "green")


def _print_workers(rows: Sequence[WorkerView], names: Mapping[str, str | None]) -> None:
    ids = shown_ids([job_id for row in rows for job_id in row.jobs])
    columns = [
        Column("HOST", wraps=True),
        Column("STATE", rank=1),
        Column("SLOTS", rank=2),
        Column("JOBS", wraps=True, rank=3),
        Column("DEVICES", wraps=True, rank=4),
        Column("POOLS", wraps=True, rank=5),
        Column("LAST SEEN", rank=7),
        Column("ID", rank=6),
    ]
    print_table(
        columns,
        [
            [
                row.host,
                _state(row),
                f"{len(row.jobs)}/{row.slots}",
                ", ".join(names.get(job_id) or ids[job_id] for job_id in row.jobs),
                ", ".join(_devices(row)),
                ", ".join(row.pools),
                local_time(row.last_seen_at),
                row.id,
            ]
            for row in rows
        ],
    )


def _devices(worker: WorkerView) -> list[str]:
    """Return the names of the devices; with the use of the GPUs, if the worker tells it and is alive."""
    return [_with_use(gpu) for gpu in worker.gpu_use] if worker.alive and worker.gpu_use else worker.devices


def _with_use(gpu: GPUUse) -> str:
    """Return for example `H100 (97 %, 40.1 GB of 85.0 GB)`."""
    utilization = f"{gpu.utilization_percent} %" if gpu.utilization_percent is not None else ""
    memory = f"{size(gpu.memory_used_bytes)} of {size(gpu.memory_total_bytes)}" if gpu.memory_total_bytes else ""
    use = ", ".join(filter(None, [utilization, memory]))
    return f"{gpu.name} ({use})" if use else gpu.name
