"""The page of one job."""

import json
from collections.abc import Sequence
from typing import Final

from flask import Blueprint, Response, request

from fitqueue.states import EXTENDABLE, WAITING_STATES, JobState
from fitqueue.views import EpochView, JobSummary
from service.api.context import get_services, principal
from service.api.job_answers import load_job
from service.api.usage import read_usage
from service.api.views import (
    artifact_view,
    checkpoint_view,
    epoch_fields,
    event_view,
    job_view,
    log_line,
)
from service.models import Event, LogLine
from service.pages import visible_projects
from service.pages.permissions import Permissions
from service.pages.rendering import render
from service.store import artifacts, checkpoints, events, logs, metrics
from service.store.metrics import EpochRow
from service.store.principals import Principal

SHOWN_EPOCHS: Final = 100
"""The last rows of the table of epochs. All of them are in the CSV."""

SHOWN_EVENTS: Final = 200
SHOWN_LINES: Final = 500
SHOWN_FILES: Final = 100

_CANCELLABLE: Final = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.PAUSED})


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/jobs/<job_id>", "job", show)


def show(job_id: str) -> Response:
    """Show the page; with `?only=parts` just its head and files, which an open page replaces while the job trains."""
    services, who = get_services(), principal()
    is_whole = request.args.get("only") != "parts"
    epochs: Sequence[EpochRow] = ()
    shown_events: Sequence[Event] = ()
    lines: Sequence[LogLine] = ()
    with services.database.read() as session:
        details, diagnosis = load_job(session, services, job_id)
        if is_whole:
            epochs = metrics.list_after(session, job_id, max(0, details.job.epoch - SHOWN_EPOCHS), SHOWN_EPOCHS)
            shown_events = events.tail(session, job_id, SHOWN_EVENTS)
            lines = logs.tail(session, job_id, SHOWN_LINES)
        files = checkpoints.list_page(session, job_id, None, SHOWN_FILES)
        others = artifacts.list_page(session, job_id, None, SHOWN_FILES)
        usage = read_usage(session, details.job)
    job = job_view(details, diagnosis)
    return render(
        "job.html",
        job=job,
        usage=usage,
        is_whole=is_whole,
        projects=visible_projects.read_names(services),
        actions=[*changes_for(who, job), *actions_for(who, job)],
        epochs=[EpochView(**epoch_fields(row)) for row in epochs],
        metric_names=list(dict.fromkeys(name for row in epochs for name in row.metrics if name != "learning_rate")),
        events=[event_view(row) for row in shown_events],
        lines=[log_line(row) for row in lines],
        checkpoints=[checkpoint_view(row) for row in files],
        artifacts=[artifact_view(row) for row in others],
        spec=json.dumps(job.spec, indent=2, ensure_ascii=False) if is_whole else "",
    )


def changes_for(who: Principal, job: JobSummary) -> list[str]:
    """Return how this user may change a job that waits now."""
    if job.state not in WAITING_STATES or not Permissions(who).change(job.owner):
        return []
    is_first = job.queue is not None and job.queue.position == 1
    return ["change"] if is_first else ["move-to-front", "change"]


def actions_for(who: Principal, job: JobSummary) -> list[str]:
    """Return what this user may ask of a job now."""
    return _actions_of(job) if Permissions(who).change(job.owner) else []


def _actions_of(job: JobSummary) -> list[str]:
    actions = []
    if job.state in {JobState.QUEUED, JobState.RUNNING} and job.pause_requested_at is None:
        actions.append("pause")
    if job.state is JobState.PAUSED or job.pause_requested_at is not None:
        actions.append("resume")
    if job.state in _CANCELLABLE and job.cancel_requested_at is None:
        actions.append("cancel")
    if job.state.is_final:
        actions += ["extend", "delete"] if job.reason in EXTENDABLE else ["delete"]
    return actions
