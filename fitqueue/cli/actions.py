"""The commands that ask something of jobs: cancel, pause, resume, delete, extend."""

import click

from fitqueue.cli.each import ask_each
from fitqueue.cli.jobs import follow
from fitqueue.cli.output import say
from fitqueue.client import Client
from fitqueue.states import JobState


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def cancel(jobs: tuple[str, ...]) -> int:
    """Ask JOBS to stop. What they trained until then stays fetchable."""

    def ask(client: Client, job: str) -> str:
        return "cancelled" if client.cancel(job).state is JobState.CANCELLED else "asked to stop"

    return ask_each(jobs, ask)


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def pause(jobs: tuple[str, ...]) -> int:
    """Have JOBS wait, without a device, until they are resumed. One that runs leaves its worker after a batch."""

    def ask(client: Client, job: str) -> str:
        return "paused" if client.pause(job).state is JobState.PAUSED else "asked to wait"

    return ask_each(jobs, ask)


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def resume(jobs: tuple[str, ...]) -> int:
    """Let paused JOBS go on, exactly where they were paused."""
    return ask_each(jobs, lambda client, job: client.resume(job).state)


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def delete(jobs: tuple[str, ...]) -> int:
    """Remove ended JOBS with their metrics, logs and files."""

    def ask(client: Client, job: str) -> str:
        client.delete(job)
        return "deleted"

    return ask_each(jobs, ask)


@click.command()
@click.argument("job")
@click.option("--epochs", type=click.IntRange(1), required=True, help="How many epochs more.")
@click.option("--wait", is_flag=True, help="Show the training until it ends; exit 0 succeeded, 1 failed, 2 cancelled.")
def extend(job: str, epochs: int, wait: bool) -> int:
    """Train an ended JOB for more epochs, from where it stopped.

    It may have completed, been stopped early, been cancelled, or run out of time.
    """
    with Client() as client:
        view = client.extend(job, epochs)
        if wait:
            return follow(client, job, as_json=False)
        say(f"{job}: {view.state}, to train until epoch {view.progress.epochs}. Follow it: fitqueue watch {job}")
        return 0
