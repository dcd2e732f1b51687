"""The commands that submit, follow and show one job: submit, watch, show."""

from typing import Any

import click

from fitqueue.cli import screen
from fitqueue.cli.compare import print_curves
from fitqueue.cli.job_file import read_job
from fitqueue.cli.job_names import find_job
from fitqueue.cli.models import print_model
from fitqueue.cli.options import json_option, project_option, wait_option
from fitqueue.cli.output import make_console, print_facts, print_json, remark
from fitqueue.cli.overrides import apply_overrides
from fitqueue.cli.text import between, local_time, time_and_name
from fitqueue.client import Client
from fitqueue.states import JobState
from fitqueue.views import JobView, Notice

EXIT_CODES = {JobState.SUCCEEDED: 0, JobState.FAILED: 1, JobState.CANCELLED: 2}


@click.command()
@click.argument("job", metavar="JOB.json", type=click.File("rb"))
@wait_option
@click.option("--dry-run", is_flag=True, help="Check the job and store nothing.")
@click.option("--name", help="Set the job's name.")
@project_option
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field of the job first: --set fit.epochs=3. Can be repeated.",
)
@json_option
def submit(
    job: Any,
    wait: bool,
    dry_run: bool,
    name: str | None,
    project: str | None,
    assignments: tuple[str, ...],
    as_json: bool,
) -> int:
    """Submit the job in JOB.json and print its id.

    With `-` as the file, read the job from standard input.
    """
    body = apply_overrides(read_job(job), {"name": name, "project": project}, assignments)
    with Client() as client:
        if dry_run:
            return _dry_run(client, body, as_json)
        view = client.submit(body)
        _remark_notices(view.notices)
        if wait:
            return follow(client, view.id, as_json)
        if as_json:
            print_json(view)
        else:
            click.echo(view.id)
            remark(f"Queued. Follow it: fitqueue watch {view.id}")
        return 0


def _dry_run(client: Client, body: bytes, as_json: bool) -> int:
    answer = client.submit(body, dry_run=True)
    _remark_notices(answer.notices)
    if as_json:
        print_json(answer)
    elif answer.model is not None:
        print_model(answer.model)
    remark("The job is valid. Nothing was stored.")
    return 0


@click.command()
@click.argument("job")
@json_option
def watch(job: str, as_json: bool) -> int:
    """Follow JOB until it ends: show its progress, the metrics of each epoch, and its result.

    Exit code: 0 if it succeeded, 1 if it failed, 2 if it was cancelled. Ctrl-C stops watching; the job continues.
    """
    with Client() as client:
        return follow(client, find_job(client, job), as_json)


def follow(client: Client, job_id: str, as_json: bool) -> int:
    """Show a job until it ends, then its result, and return the exit code for it.

    With `as_json`, only the result goes to stdout, as JSON; the progress goes to stderr.
    """
    console = make_console(stderr=as_json)
    try:
        job = screen.watch(client, job_id, console)
    except KeyboardInterrupt:
        remark(f"The job continues. To follow it: fitqueue watch {job_id}. To cancel it: fitqueue cancel {job_id}")
        raise
    if as_json:
        print_json(job)
    else:
        screen.show_result(client, job, console)
    return EXIT_CODES[job.state]


@click.command()
@click.argument("job")
@click.option(
    "--spec", is_flag=True, help="Print only the spec, as the service understood it. `submit` accepts it again."
)
@click.option("--model", is_flag=True, help="Print only the model, layer by layer, as the service built it.")
@click.option("--curve", is_flag=True, help="Also draw the metrics of its epochs.")
@json_option
def show(job: str, spec: bool, model: bool, curve: bool, as_json: bool) -> None:
    """Show one JOB: its state, progress, best epoch and diagnosis."""
    with Client() as client:
        view = client.get(find_job(client, job))
        epochs = client.metrics(view.id) if curve else ()
    if as_json or spec:
        print_json(view.spec if spec else view.model if model else view)
    elif not model:
        print_facts(_facts(view))
        print_curves(epochs)
        _remark_notices(view.notices)
    elif view.model is None:
        remark("There is no model to show: the job was accepted while its model could not be checked.")
    else:
        print_model(view.model)


def _remark_notices(notices: list[Notice]) -> None:
    for notice in notices:
        others = len(notice.pointers) - 1
        places = f" and {others} other {'places' if others > 1 else 'place'}" if others else ""
        remark(f"Notice: {notice.pointer}{places}: {notice.message}")


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
        ("Ends", screen.ends_text(job)),
        ("Pool", f"{job.pool}, {screen.priority_text(job)}"),
        ("Worker", job.worker or ""),
        ("Attempt", f"{job.attempt} of {job.max_attempts}"),
        ("Owner", job.owner or ""),
        ("Project", job.project or ""),
        ("Labels", ", ".join(f"{key}={value}" for key, value in job.labels.items())),
        ("Kept", "whatever the retention of its project says" if job.keep else ""),
        ("Submitted", time_and_name(job.created_at, job.submitted_by)),
        ("Started", local_time(job.started_at)),
        ("Asked to stop", local_time(job.cancel_requested_at)),
        ("Asked to pause", local_time(job.pause_requested_at)),
        ("Makes room", f"since {local_time(job.preempt_requested_at)}" if job.preempt_requested_at else ""),
        ("Ended", local_time(job.finished_at)),
        ("Ran", between(job.started_at, job.finished_at)),
        ("Removed", "\n".join(removed.message for removed in job.removed)),
    ]
