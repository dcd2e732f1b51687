"""The commands that change jobs: cancel, pause, resume, delete, extend."""

import click

from fitqueue.cli.batch import for_each
from fitqueue.cli.job_names import find_job
from fitqueue.cli.jobs import follow
from fitqueue.cli.options import wait_option
from fitqueue.cli.output import remark
from fitqueue.client import Client
from fitqueue.states import JobState


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def cancel(jobs: tuple[str, ...]) -> int:
    """Cancel JOBS. What they have saved can still be downloaded."""

    def action(client: Client, job: str) -> str:
        return "cancelled" if client.cancel(find_job(client, job)).state is JobState.CANCELLED else "asked to stop"

    return for_each(jobs, action)


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def pause(jobs: tuple[str, ...]) -> int:
    """Pause JOBS and free their devices, until they are resumed.

    A running job stops after its current batch.
    """

    def action(client: Client, job: str) -> str:
        return "paused" if client.pause(find_job(client, job)).state is JobState.PAUSED else "asked to pause"

    return for_each(jobs, action)


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def resume(jobs: tuple[str, ...]) -> int:
    """Resume paused JOBS exactly where they stopped."""
    return for_each(jobs, lambda client, job: client.resume(find_job(client, job)).state)


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def delete(jobs: tuple[str, ...]) -> int:
    """Delete ended JOBS with their metrics, logs and files."""

    def action(client: Client, job: str) -> str:
        client.delete(find_job(client, job))
        return "deleted"

    return for_each(jobs, action)


@click.command()
@click.argument("job")
@click.option("--epochs", type=click.IntRange(1), required=True, help="How many epochs to add.")
@wait_option
def extend(job: str, epochs: int, wait: bool) -> int:
    """Train an ended JOB for more epochs, from where it stopped.

    The job may have completed, been stopped early, been cancelled, run out of time, or lost its worker too often.
    """
    with Client() as client:
        view = client.extend(find_job(client, job), epochs)
        if wait:
            return follow(client, view.id, as_json=False)
        end = f"will train until epoch {view.progress.epochs}"
        remark(f"{view.id}: {view.state}, {end}. Follow it: fitqueue watch {view.id}")
        return 0
