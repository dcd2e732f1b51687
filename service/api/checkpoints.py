"""The weights of a job. They can be fetched at any time, also while it trains."""

from typing import Annotated, Final

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import Field

from fitqueue.errors import FileGone
from fitqueue.spec.strict import Pattern
from fitqueue.views import CheckpointView, Page
from fitqueue.weights import LAST_WITH_OPTIMIZER
from service.api import PREFIX
from service.api.context import get_services
from service.api.files import DOWNLOAD, send
from service.api.parameters import ALWAYS, MAX_CURSOR, FilePath, FilesQuery, JobPath, answer, problems
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


class CheckpointsQuery(FilesQuery):
    cursor: Annotated[str, Pattern(r"[0-2] \d{1,9} -?\d{1,9} [^\x00]*", "a `next_cursor`")] | None = Field(
        default=None, max_length=MAX_CURSOR, description="`next_cursor` of the page before"
    )

    @property
    def after(self) -> checkpoints.Cursor | None:
        if self.cursor is None:
            return None
        group, epoch, batch, name = self.cursor.split(" ", 3)
        return int(group), int(epoch), int(batch), name


def _cursor(row: Checkpoint) -> str:
    return " ".join(map(str, checkpoints.cursor(row)))


@blueprint.get("/checkpoints", summary="List checkpoints", responses={200: Page[CheckpointView], **problems(404)})
def list_checkpoints(path: JobPath, query: CheckpointsQuery) -> Response:
    """Those that the service names, such as `best` and `last`, then those that the job's ModelCheckpoint named."""
    with get_services().database.read() as session:
        rows = checkpoints.list_page(session, path.job_id, query.after, query.limit + 1)
    listed = rows[: query.limit]
    cursor = _cursor(listed[-1]) if len(rows) > len(listed) else None
    return answer(Page[CheckpointView](data=[checkpoint_view(row) for row in listed], next_cursor=cursor))


@blueprint.get("/checkpoints/<name>", summary="Fetch a checkpoint", responses=DOWNLOAD)
def get_checkpoint(path: FilePath) -> Response:
    """The file. Its ETag is its sha256. A range of it can be requested, so an interrupted download can be resumed."""
    return _download(path.job_id, path.name)


@blueprint.get("/weights/best", summary="Fetch the best weights", responses=DOWNLOAD)
def get_best_weights(path: JobPath) -> Response:
    """Best by the monitor of the first ModelCheckpoint, else `val_loss`, else `loss`. 404 before the first epoch."""
    return _download(path.job_id, "best")


@blueprint.get("/weights/last", summary="Fetch the last weights", responses=DOWNLOAD)
def get_last_weights(path: JobPath) -> Response:
    """The weights after the last epoch that ended. 404 before the first epoch."""
    return _download(path.job_id, "last")


@blueprint.get("/weights/last_with_optimizer", summary="Fetch the last weights and the optimizer", responses=DOWNLOAD)
def get_last_weights_with_optimizer(path: JobPath) -> Response:
    """What Keras saves of the compiled model when training has ended, for a job with `save_optimizer`."""
    return _download(path.job_id, LAST_WITH_OPTIMIZER)


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
