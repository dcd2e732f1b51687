"""The commands about jobs: submit, watch, jobs, show."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from fitqueue.cli import screen
from fitqueue.cli.models import print_model
from fitqueue.cli.output import facts, make_console, print_json, print_table, say
from fitqueue.cli.overrides import with_changes
from fitqueue.cli.text import age, between, moment, number
from fitqueue.client import Client
from fitqueue.states import JobState
from fitqueue.views import JobSummary, JobView, Notice

EXIT_CODES = {JobState.SUCCEEDED: 0, JobState.FAILED: 1, JobState.CANCELLED: 2}

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.command()
@click.argument("job", metavar="JOB.json", type=click.File("rb"))
@click.option("--wait", is_flag=True, help="Show the training until it ends; exit 0 succeeded, 1 failed, 2 cancelled.")
@click.option("--dry-run", is_flag=True, help="Check the job and store nothing.")
@click.option("--name", help="Name the job.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change the job first: --set fit.epochs=3 (repeatable).",
)
@as_json
def submit(job: Any, wait: bool, dry_run: bool, name: str | None, changes: tuple[str, ...], as_json: bool) -> int:
    """Queue the job of a JSON file (`-`: standard input) and print its id."""
    body = with_changes(job.read(), name, changes)
    with Client() as client:
        if dry_run:
            answer = client.submit(body, dry_run=True)
            _say_notices(answer.notices)
            if as_json:
                print_json(answer)
            elif answer.model is not None:
                print_model(answer.model)
            say("The service would take this job; nothing was stored.")
            return 0
        view = client.submit(body)
        _say_notices(view.notices)
        if wait:
            return follow(client, view.id, as_json)
        if as_json:
            print_json(view)
        else:
            click.echo(view.id)
            say(f"Queued. Follow it: fitqueue watch {view.id}")
        return 0


@click.command()
@click.argument("job")
@as_json
def watch(job: str, as_json: bool) -> int:
    """Follow JOB until it ends: its progress, each epoch's metrics, and the result.

    Exits 0 when it succeeded, 1 when it failed, 2 when it was cancelled.
    """
    with Client() as client:
        return follow(client, job, as_json)


def follow(client: Client, job_id: str, as_json: bool) -> int:
    """With `as_json`, only the result goes to stdout and what happens meanwhile to stderr."""
    console = make_console(stderr=as_json)
    try:
        job = screen.watch(client, job_id, console)
    except KeyboardInterrupt:
        say(f"The job goes on. To follow it: fitqueue watch {job_id}; to stop it: fitqueue cancel {job_id}")
        raise
    if as_json:
        print_json(job)
    else:
        screen.show_result(client, job, console)
    return EXIT_CODES[job.state]


@click.command()
@click.option("--state", "states", multiple=True, type=click.Choice([str(state) for state in JobState]))
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE")
@click.option("--pool")
@click.option("--name")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@as_json
def jobs(
    states: tuple[str, ...], labels: tuple[str, ...], pool: str | None, name: str | None, limit: int, as_json: bool
) -> None:
    """List jobs, the newest first. Repeated states mean either, repeated labels mean both."""
    with Client() as client:
        found = client.list(state=states, labels=map(_label, labels), pool=pool, name=name)
        rows = list(islice(found, limit))
    if as_json:
        print_json(rows)
    elif rows:
        print_table(["ID", "NAME", "STATE", "REASON", "EPOCH", "BEST", "AGE"], map(_row, rows))
    else:
        say("No jobs.")


@click.command()
@click.argument("job")
@click.option(
    "--spec", is_flag=True, help="Print the job's spec instead, as the service understood it and `submit` takes it."
)
@click.option("--model", is_flag=True, help="Print the model instead, layer by layer, as the service built it.")
@as_json
def show(job: str, spec: bool, model: bool, as_json: bool) -> None:
    """Show one JOB."""
    with Client() as client:
        view = client.get(job)
    if as_json or spec:
        print_json(view.spec if spec else view.model if model else view)
        return
    if model:
        if view.model is None:
            say("The job was taken before its model could be checked.")
        else:
            print_model(view.model)
        return
    make_console().print(facts(_facts(view)), soft_wrap=True)
    _say_notices(view.notices)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise click.BadParameter(f"'{text}' is no label; expected KEY=VALUE", param_hint="--label")
    return key, value


def _say_notices(notices: list[Notice]) -> None:
    for notice in notices:
        say(f"Notice: {notice.pointer}: {notice.message}")


def _row(job: JobSummary) -> list[Any]:
    epoch = f"{job.progress.epoch}/{job.progress.epochs}"
    best = f"{job.best.monitor} {number(job.best.value)}" if job.best else ""
    submitted = age(job.created_at, datetime.now(UTC))
    return [job.id, job.name or "", screen.state_text(job), job.reason or "", epoch, best, submitted]


def _facts(job: JobView) -> list[tuple[str, Any]]:
    progress = job.progress
    steps = f", step {progress.step} of {progress.steps}" if job.state is JobState.RUNNING and progress.steps else ""
    return [
        ("Job", job.id),
        ("Name", job.name or ""),
        ("State", screen.state_text(job)),
        ("Phase", job.phase or ""),
        ("Reason", job.reason or ""),
        ("Message", job.message or ""),
        ("Epoch", f"{progress.epoch} of {progress.epochs}{steps}"),
        ("Best", screen.best_text(job)),
        ("Diagnosis", screen.diagnosis_text(job)),
        ("Queue", screen.queue_text(job.queue) if job.queue else ""),
        ("Pool", f"{job.pool}, priority {job.priority}"),
        ("Worker", job.worker or ""),
        ("Attempt", f"{job.attempt} of {job.max_attempts}"),
        ("Labels", ", ".join(f"{key}={value}" for key, value in job.labels.items())),
        ("Submitted", moment(job.created_at)),
        ("Started", moment(job.started_at)),
        ("Asked to stop", moment(job.cancel_requested_at)),
        ("Asked to wait", moment(job.pause_requested_at)),
        ("Ended", moment(job.finished_at)),
        ("Ran", between(job.started_at, job.finished_at)),
    ]
