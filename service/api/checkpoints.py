"""The weights of a job. They can be fetched at any time, also while it trains."""

from typing import Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.errors import FileGone
from fitqueue.views import CheckpointView, Page
from service.api import PREFIX
from service.api.context import get_services
from service.api.files import DOWNLOAD, send
from service.api.parameters import ALWAYS, FilePath, JobPath, answer, problems
from service.api.views import OWN_CHECKPOINTS, checkpoint_view
from service.models import Checkpoint
from service.store import checkpoints

blueprint = APIBlueprint(
    "checkpoints",
    __name__,
    url_prefix=f"{PREFIX}/jobs/<job_id>",
    abp_tags=[Tag(name="checkpoints")],
    abp_responses=ALWAYS,
)

_MAX_TRIES: Final = 5


@blueprint.get("/checkpoints", summary="List checkpoints", responses={200: Page[CheckpointView], **problems(404)})
def list_checkpoints(path: JobPath) -> Response:
    """`best` and `last`, which every job has, then those that the job's ModelCheckpoint named."""
    with get_services().database.read() as session:
        rows = checkpoints.list_all(session, path.job_id)
    return answer(Page[CheckpointView](data=[checkpoint_view(row) for row in rows]))


@blueprint.get("/checkpoints/<name>", summary="Fetch a checkpoint", responses=DOWNLOAD)
def get_checkpoint(path: FilePath) -> Response:
    """The file. Its ETag is its sha256. A range of it can be requested, so an interrupted download can be resumed."""
    return _download(path.job_id, path.name)


@blueprint.get("/weights/best", summary="Fetch the best weights", responses=DOWNLOAD)
def get_best(path: JobPath) -> Response:
    """Best by the monitor of the first ModelCheckpoint, else `val_loss`, else `loss`. 404 before the first epoch."""
    return _download(path.job_id, "best")


@blueprint.get("/weights/last", summary="Fetch the last weights", responses=DOWNLOAD)
def get_last(path: JobPath) -> Response:
    """The weights after the last epoch that ended. 404 before the first epoch."""
    return _download(path.job_id, "last")


def _download(job_id: str, name: str) -> Response:
    services = get_services()
    for _ in range(_MAX_TRIES):
        with services.database.read() as session:
            row = checkpoints.get(session, job_id, name)
        try:
            return send(services.storage, row, _file_name(row))
        except FileNotFoundError:
            continue  # a better one has just replaced it, and has a row by now
    raise FileGone(f"The file of the checkpoint '{name}' of {job_id} is gone from the storage.")


def _file_name(row: Checkpoint) -> str:
    if row.name in OWN_CHECKPOINTS:
        return f"{row.job_id}-{row.name}.{row.format}"
    return row.name
