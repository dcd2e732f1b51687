"""In what two jobs differ: their specs, by JSON pointer, beside what their trainings came to."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue import differences
from fitqueue.errors import JobNotFound
from fitqueue.views import Difference, JobDiff
from service.api import PREFIX
from service.api.context import get_services
from service.api.parameters import ALWAYS, JobPath, Text, answer, problems
from service.api.views import compared_job
from service.store import compared_jobs

blueprint = APIBlueprint(
    "diff", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="jobs")], abp_responses=ALWAYS
)

MAX_DIFFERENCES: Final = 1_000
MAX_VALUE: Final = 10_000
"""Characters of a value, as JSON."""

MAX_CHARACTERS: Final = 1_000_000
"""Characters of all pointers and values together, of which the last difference may be beyond it."""


class DiffPath(JobPath):
    other_id: Text


@blueprint.get("/diff/<other_id>", summary="Compare two jobs", responses={200: JobDiff, **problems(404)})
def get_job_diff(path: DiffPath) -> Response:
    """In what the specs of the two jobs differ, by JSON pointer, with the best and the last epoch of each.

    At most a thousand differences, and no values of more than 10,000 characters: `GET /jobs/{id}` has all of a spec.
    """
    ids = [path.job_id, path.other_id]
    with get_services().database.read() as session:
        found = {job.id: job for job in compared_jobs.with_specs(session, ids)}
        trained = compared_jobs.trained(session, ids)
    for id in ids:
        if id not in found:
            raise JobNotFound(f"There is no job '{id}'.")
    rows, is_complete = _differences(ids, [found[id].spec for id in ids])
    views = [compared_job(found[id], trained.get(id)) for id in ids]
    return answer(JobDiff(jobs=views, differences=rows, is_complete=is_complete))


def _differences(ids: Sequence[str], specs: Sequence[Any]) -> tuple[list[Difference], bool]:
    """Return in what the specs differ, and whether this is all of it."""
    found: list[Difference] = []
    characters = 0
    for difference, length in _differing(ids, specs):
        if len(found) == MAX_DIFFERENCES or characters >= MAX_CHARACTERS:
            return found, False
        found.append(difference)
        characters += length
    return found, True


def _differing(ids: Sequence[str], specs: Sequence[Any]) -> Iterator[tuple[Difference, int]]:
    """Yield each difference, and how many characters it has."""
    for row in differences.compare(specs):
        if not row.differs:
            continue
        values = {id: value for id, value in zip(ids, row.values, strict=True) if value is not differences.MISSING}
        lengths = {id: len(differences.as_text(value)) for id, value in values.items()}
        too_long = [id for id, length in lengths.items() if length > MAX_VALUE]
        short = {id: value for id, value in values.items() if id not in too_long}
        length = len(row.pointer) + sum(lengths[id] for id in short)
        yield Difference(pointer=row.pointer, values=short, too_long=too_long), length
