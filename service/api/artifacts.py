"""The files that a job's callbacks wrote besides its weights: TensorBoard's event files, CSVLogger's tables."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.errors import FileGone
from fitqueue.views import ArtifactView, Page
from service.api import PREFIX
from service.api.context import get_services
from service.api.files import DOWNLOAD, send
from service.api.parameters import ALWAYS, FilePath, FilesQuery, JobPath, answer, problems
from service.api.views import artifact_view
from service.store import artifacts

blueprint = APIBlueprint(
    "artifacts", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="artifacts")], abp_responses=ALWAYS
)


@blueprint.get("/artifacts", summary="List artifacts", responses={200: Page[ArtifactView], **problems(404)})
def list_artifacts(path: JobPath, query: FilesQuery) -> Response:
    """They appear when the job has ended, however it ended."""
    with get_services().database.read() as session:
        rows = artifacts.list_page(session, path.job_id, query.cursor, query.limit + 1)
    data = [artifact_view(row) for row in rows[: query.limit]]
    return answer(Page[ArtifactView](data=data, next_cursor=data[-1].name if len(rows) > len(data) else None))


@blueprint.get("/artifacts/<name>", summary="Fetch an artifact", responses=DOWNLOAD)
def get_artifact(path: FilePath) -> Response:
    """The file, fetched like a checkpoint. The files of a TensorBoard callback are one zip archive."""
    services = get_services()
    with services.database.read() as session:
        row = artifacts.get(session, path.job_id, path.name)
    try:
        return send(services.storage, row, row.name)
    except FileNotFoundError:
        raise FileGone(f"The file of the artifact '{path.name}' of {path.job_id} is gone from the storage.") from None
