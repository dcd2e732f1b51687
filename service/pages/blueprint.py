"""The pages that need a login, and where the navigation leads."""

import logging
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Response, request

from fitqueue.errors import FitQueueError
from service.api.access import RULES
from service.api.authentication import accepts_pages
from service.api.context import find_principal
from service.api.errors import problem, status_of
from service.pages import account, admin, compare, datasets, formats, job, jobs, new_job, queue
from service.pages.permissions import Permissions
from service.pages.rendering import render

blueprint = Blueprint("pages", __name__, template_folder="templates")

_logger = logging.getLogger(__name__)

NAVIGATION: Final = (
    ("pages.jobs", "nav.jobs"),
    ("pages.compare", "nav.compare"),
    ("pages.new_job", "nav.new_job"),
    ("pages.queue", "nav.queue"),
    ("pages.datasets", "nav.datasets"),
    ("pages.admin", "nav.admin"),
)

_TITLES: Final[dict[int, str]] = {HTTPStatus.FORBIDDEN: "error.forbidden", HTTPStatus.NOT_FOUND: "error.not_found"}

jobs.register(blueprint)
job.register(blueprint)
compare.register(blueprint)
new_job.register(blueprint)
queue.register(blueprint)
datasets.register(blueprint)
account.register(blueprint)
admin.register(blueprint)
formats.register(blueprint)


@blueprint.app_context_processor
def _of_user() -> dict[str, Any]:
    """Return who reads the page, what they may do, and the pages that they may open."""
    who = find_principal()
    if who is None:
        return {"me": None}
    navigation = [(endpoint, key) for endpoint, key in NAVIGATION if RULES[endpoint].allows(who)]
    return {"me": who, "may": Permissions(who), "navigation": navigation, "admin_parts": admin.PARTS}


@blueprint.errorhandler(FitQueueError)
def _show_error(error: FitQueueError) -> Response:
    """Answer a browser with a page, and a program with a document."""
    if not accepts_pages(request):
        return problem(error)
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _logger.error("The page could not be made.", exc_info=error)
    return render("error.html", status, title=_TITLES.get(status, "error.failed"), error=error)
