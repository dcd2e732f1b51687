"""The commands that ask something of jobs: cancel, pause, resume, extend."""

import click

from fitqueue.cli.jobs import follow
from fitqueue.cli.output import say
from fitqueue.client import Client
from fitqueue.states import JobState


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def cancel(jobs: tuple[str, ...]) -> None:
    """Ask JOBS to stop. What they trained until then stays fetchable."""
    with Client() as client:
        for job in jobs:
            view = client.cancel(job)
            say(f"{job}: {'cancelled' if view.state is JobState.CANCELLED else 'asked to stop'}")


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def pause(jobs: tuple[str, ...]) -> None:
    """Have JOBS wait, without a device, until they are resumed. One that runs leaves its worker after a batch."""
    with Client() as client:
        for job in jobs:
            view = client.pause(job)
            say(f"{job}: {'paused' if view.state is JobState.PAUSED else 'asked to wait'}")


@click.command()
@click.argument("jobs", nargs=-1, required=True)
def resume(jobs: tuple[str, ...]) -> None:
    """Let paused JOBS go on, exactly where they were paused."""
    with Client() as client:
        for job in jobs:
            say(f"{job}: {client.resume(job).state}")


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
