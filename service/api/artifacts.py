"""What callbacks of a job wrote beside its weights: TensorBoard's event files, CSVLogger's tables."""

from urllib.parse import quote

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from fitqueue.errors import InternalError
from fitqueue.views import ArtifactView, Page
from service.api import PREFIX
from service.api.checkpoints import CheckpointPath
from service.api.context import services
from service.api.files import DOWNLOAD, send
from service.api.parameters import ALWAYS, JobPath, answer, problems
from service.models import Artifact
from service.store import artifacts

blueprint = APIBlueprint(
    "artifacts", __name__, url_prefix=f"{PREFIX}/jobs/<job_id>", abp_tags=[Tag(name="artifacts")], abp_responses=ALWAYS
)


@blueprint.get("/artifacts", summary="List artifacts", responses={200: Page[ArtifactView], **problems(404)})
def list_artifacts(path: JobPath) -> Response:
    """They are there when the job has ended, however it ended."""
    with services().database.read() as session:
        rows = artifacts.list_all(session, path.job_id)
    return answer(Page[ArtifactView](data=[_view(row) for row in rows]))


@blueprint.get("/artifacts/<name>", summary="Fetch an artifact", responses=DOWNLOAD)
def get_artifact(path: CheckpointPath) -> Response:
    """The file, as a checkpoint is fetched. What a TensorBoard callback wrote is one zip archive of its folder."""
    parts = services()
    with parts.database.read() as session:
        row = artifacts.get(session, path.job_id, path.name)
    try:
        return send(parts.store, row, row.name)
    except FileNotFoundError:
        raise InternalError(f"The file of the artifact '{path.name}' of {path.job_id} is missing.") from None


def _view(row: Artifact) -> ArtifactView:
    return ArtifactView(
        name=row.name,
        size=row.size,
        sha256=row.sha256,
        created_at=row.created_at,
        href=f"{PREFIX}/jobs/{row.job_id}/artifacts/{quote(row.name, safe='')}",
    )
