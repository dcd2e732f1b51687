"""The page where a job is written, checked and submitted.

A script checks it while somebody writes. Without a script, the form below posts the job here, and this module shows
what the same check says.
"""

import logging
import secrets
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from fitqueue.errors import CheckerBusy, FitQueueError, JobNotFound, NotFound
from fitqueue.spec import parse_json
from fitqueue.views import ModelSummary, Notice
from service.api import submission
from service.api.context import get_services, principal
from service.api.errors import RETRY_SECONDS, status_of
from service.pages import example_jobs, visible_projects
from service.pages.pretty_json import pretty
from service.pages.rendering import render
from service.store import jobs

_BUSY: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})

_logger = logging.getLogger(__name__)


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/new", "new_job", show)
    blueprint.add_url_rule("/new", "post_job", post, methods=["POST"])


def show() -> Response:
    """Show an empty form, or one with an example (`?example=NAME`) or another job (`?from=ID`)."""
    try:
        return _page(_text_to_start_from())
    except NotFound as error:
        return _page("", error)


def post() -> BaseResponse:
    """Check the job of the form, or submit it and lead to its page."""
    request.max_form_memory_size = request.max_content_length  # by default it is 500 kB
    text = _posted_text()
    services = get_services()
    try:
        body = parse_json(text.encode("utf-8", "surrogatepass"))
        if request.form.get("action") == "check":
            checked = submission.dry_run(services, body)
            return _page(text, notices=checked.notices, model=checked.model, is_accepted=True)
        idempotency = submission.idempotency_of(body, request.form.get("key"))
        submitted = submission.submit(services, body, idempotency)
    except FitQueueError as error:
        if status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, CheckerBusy):
            _logger.error("The job of a form could not be checked or stored.", exc_info=error)
        return _page(text, error)
    return redirect(url_for("pages.job", job_id=submitted.job_id), 303)


def _text_to_start_from() -> str:
    """Return the JSON that the address names.

    Raises:
        JobNotFound: it names a job that does not exist.
        NotFound: it names an example that does not exist.
    """
    if job_id := request.args.get("from", "").strip():
        return _spec_of(job_id)
    name = request.args.get("example")
    return _example(name) if name else ""


def _posted_text() -> str:
    """Return the JSON of the form. Browsers send its lines with CRLF."""
    name = request.form.get("example")
    return _example(name) if name else request.form.get("job", "").replace("\r\n", "\n")


def _example(name: str) -> str:
    if name not in example_jobs.texts():
        raise NotFound(f"There is no example '{name}'.")
    return example_jobs.texts()[name]


def _spec_of(job_id: str) -> str:
    if "\x00" in job_id:
        raise JobNotFound()
    with get_services().database.read() as session:
        jobs.get(session, job_id, principal().viewer)
        return pretty(jobs.get_whole(session, job_id).spec)


def _page(
    text: str,
    error: FitQueueError | None = None,
    *,
    notices: Sequence[Notice] = (),
    model: ModelSummary | None = None,
    is_accepted: bool = False,
) -> Response:
    response = render(
        "new_job.html",
        status_of(error) if error else 200,
        text=text,
        error=error,
        examples=list(example_jobs.texts()),
        projects=visible_projects.read_names(get_services()),
        key=secrets.token_urlsafe(16),
        max_bytes=get_services().settings.max_body_bytes,
        notices=notices,
        model=model,
        is_accepted=is_accepted,
    )
    if response.status_code in _BUSY:
        response.headers["Retry-After"] = RETRY_SECONDS
    return response
