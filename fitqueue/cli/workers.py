"""The command that lists workers."""

import click

from fitqueue.cli.options import json_option
from fitqueue.cli.output import cell, print_json, print_table
from fitqueue.cli.tables import Column
from fitqueue.cli.text import local_time, size
from fitqueue.client import Client
from fitqueue.views import GPUUse, WorkerView


@click.command()
@json_option
def workers(as_json: bool) -> None:
    """List the workers of the last day, with their devices, how much of them is used, and the jobs that they train."""
    with Client() as client:
        rows = client.workers()
    if as_json:
        print_json(rows)
        return
    print_table(
        [
            Column("ID", wraps=True, rank=7),
            Column("HOST", wraps=True, rank=1),
            Column("STATE", rank=2),
            Column("POOLS", wraps=True, rank=6),
            Column("SLOTS", rank=3),
            Column("DEVICES", wraps=True, rank=5),
            Column("JOBS", wraps=True, rank=4),
            Column("LAST SEEN", rank=8),
        ],
        [
            [
                row.id,
                row.host,
                cell("alive", "green") if row.alive else cell("gone", "red"),
                ", ".join(row.pools),
                f"{len(row.jobs)}/{row.slots}",
                ", ".join(_devices(row)),
                ", ".join(row.jobs),
                local_time(row.last_seen_at),
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
