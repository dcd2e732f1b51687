"""The weights of a job, at any time, while it trains too."""

from typing import Final
from urllib.parse import quote

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.errors import InternalError
from fitqueue.views import CheckpointView, Page
from service.api import PREFIX
from service.api.context import Services, services
from service.api.files import DOWNLOAD, send
from service.api.parameters import ALWAYS, JobPath, Text, answer, problems
from service.models import Checkpoint
from service.store import checkpoints

blueprint = APIBlueprint(
    "checkpoints",
    __name__,
    url_prefix=f"{PREFIX}/jobs/<job_id>",
    abp_tags=[Tag(name="checkpoints")],
    abp_responses=ALWAYS,
)

_ATTEMPTS: Final = 5


class CheckpointPath(JobPath):
    name: Text


@blueprint.get("/checkpoints", summary="List checkpoints", responses={200: Page[CheckpointView], **problems(404)})
def list_checkpoints(path: JobPath) -> Response:
    """`best` and `last`, which every job has, then those that the job's ModelCheckpoint named."""
    with services().database.read() as session:
        rows = checkpoints.list_all(session, path.job_id)
    return answer(Page[CheckpointView](data=[view(row) for row in rows]))


@blueprint.get("/checkpoints/<name>", summary="Fetch a checkpoint", responses=DOWNLOAD)
def get_checkpoint(path: CheckpointPath) -> Response:
    """The file. Its ETag is its sha256; one range can be asked for, so that a broken download can go on."""
    return _download(services(), path.job_id, path.name)


@blueprint.get("/weights/best", summary="Fetch the best weights", responses=DOWNLOAD)
def get_best(path: JobPath) -> Response:
    """By the monitor of the job's first ModelCheckpoint, else `val_loss`, else `loss`. 404 before the first epoch."""
    return _download(services(), path.job_id, "best")


@blueprint.get("/weights/last", summary="Fetch the last weights", responses=DOWNLOAD)
def get_last(path: JobPath) -> Response:
    """Of the epoch that ended last. 404 before the first epoch."""
    return _download(services(), path.job_id, "last")


def view(row: Checkpoint) -> CheckpointView:
    place = f"weights/{row.name}" if row.name in {"best", "last"} else f"checkpoints/{quote(row.name, safe='')}"
    return CheckpointView(
        name=row.name,
        format="keras" if row.format == "keras" else "weights.h5",
        epoch=row.epoch,
        batch=row.batch,
        metrics=row.metrics,
        monitor=row.monitor,
        value=row.value,
        size=row.size,
        sha256=row.sha256,
        created_at=row.created_at,
        href=f"{PREFIX}/jobs/{row.job_id}/{place}",
    )


def _download(parts: Services, job_id: str, name: str) -> Response:
    for _ in range(_ATTEMPTS):
        with parts.database.read() as session:
            row = checkpoints.get(session, job_id, name)
        try:
            return send(parts.store, row, _file_name(row))
        except FileNotFoundError:
            continue  # a better one took its place between the two lines: its row is there by now
    raise InternalError(f"The file of the checkpoint '{name}' of {job_id} is missing.")


def _file_name(row: Checkpoint) -> str:
    if row.name in {"best", "last"}:
        return f"{row.job_id}-{row.name}.{row.format}"
    return row.name
