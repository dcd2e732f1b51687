"""The pages that need a login, and where the navigation leads."""

from typing import Any, Final

from flask import Blueprint

from service.pages import formats, job, jobs

blueprint = Blueprint("pages", __name__, template_folder="templates")

NAVIGATION: Final = (("pages.jobs", "nav.jobs"),)

jobs.register(blueprint)
job.register(blueprint)
formats.register(blueprint)


@blueprint.app_context_processor
def _navigation() -> dict[str, Any]:
    return {"navigation": NAVIGATION}
