"""Projects: everybody lists those that they see; admins create and change them."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from fitqueue.account_views import ProjectView
from fitqueue.audit_actions import AuditAction
from fitqueue.limits import ChangedLimits, merged
from fitqueue.retention import Retention
from fitqueue.spec.parsing.job import ProjectName
from fitqueue.views import Page
from service.api import PREFIX, auditing
from service.api.account_views import project_view, project_views
from service.api.addresses import address_of
from service.api.context import get_services, principal
from service.api.errors import validated
from service.api.parameters import ALWAYS, Text, answer, json_body, json_request, problems
from service.api.users import MAX_SHARE
from service.models import Project
from service.store import projects, retention, users

blueprint = APIBlueprint(
    "projects", __name__, url_prefix=f"{PREFIX}/projects", abp_tags=[Tag(name="accounts")], abp_responses=ALWAYS
)


class NewProject(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ProjectName
    open: bool = Field(default=True, description="whether all users see it, or its members alone")


class ProjectChange(BaseModel):
    """What becomes of a project. A field that is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    open: bool = True
    share: float = Field(default=1.0, gt=0, le=MAX_SHARE, allow_inf_nan=False)
    limits: ChangedLimits | None = Field(default=None, description="a merge patch; null removes all limits")
    retention: Retention | None = Field(default=None, description="a merge patch; null stands for the default")


class ProjectPath(BaseModel):
    project: Text = Field(description="a name or an id")


class MemberPath(ProjectPath):
    user: Text = Field(description="a name or an id")


@blueprint.get("", summary="List projects", responses={200: Page[ProjectView]})
def list_projects() -> Response:
    """Those that you see, by name."""
    with get_services().database.read() as session:
        views = project_views(session, projects.list_all(session, principal().viewer))
    return answer(Page[ProjectView](data=views, next_cursor=None))


@blueprint.post(
    "",
    summary="Create a project",
    openapi_extensions=json_request(NewProject, {"name": "vision", "open": False}),
    responses={201: ProjectView, **problems(400, 403, 409, 413, 415)},
)
def create_project() -> Response:
    wanted = validated(NewProject, json_body())
    with get_services().database.write() as session:
        view = project_view(session, projects.create(session, wanted.name, is_open=wanted.open))
        auditing.record(session, AuditAction.PROJECT_CREATE, view.id, {"name": view.name, "open": view.open})
    return answer(view, 201, {"Location": address_of(f"/projects/{view.id}")})


@blueprint.get("/<project>", summary="Get a project", responses={200: ProjectView, **problems(404)})
def get_project(path: ProjectPath) -> Response:
    with get_services().database.read() as session:
        return _answer(session, projects.get(session, path.project, principal().viewer))


@blueprint.patch(
    "/<project>",
    summary="Change a project",
    openapi_extensions=json_request(ProjectChange, {"open": True, "limits": {"gpus": 8}}),
    responses={200: ProjectView, **problems(400, 403, 404, 413, 415)},
)
def change_project(path: ProjectPath) -> Response:
    """Whether it is open, its share, limits and retention. Its name stays: jobs and data sets refer to it."""
    change = validated(ProjectChange, json_body())
    columns = {"open": "is_open", "share": "share"}
    with get_services().database.write() as session:
        project = projects.get(session, path.project)
        session.refresh(project, with_for_update=True)
        before = project_view(session, project)
        for name in change.model_fields_set - {"limits", "retention"}:
            setattr(project, columns[name], getattr(change, name))
        if "limits" in change.model_fields_set:
            project.limits = merged(project.limits, change.limits)
        session.flush()
        if "retention" in change.model_fields_set:
            kept = {} if change.retention is None else change.retention.model_dump(exclude_unset=True)
            before_it = {} if change.retention is None else before.retention.model_dump()
            retention.set(session, project.id, Retention(**{**before_it, **kept}))
            session.refresh(project)
        auditing.record_change(session, AuditAction.PROJECT_CHANGE, before, project_view(session, project))
        return _answer(session, project)


@blueprint.put(
    "/<project>/members/<user>", summary="Add a member to a project", responses={200: ProjectView, **problems(403, 404)}
)
def add_project_member(path: MemberPath) -> Response:
    """The user sees the project from now on. Doing it twice changes nothing."""
    with get_services().database.write() as session:
        project = projects.get(session, path.project)
        user = users.get(session, path.user)
        if projects.add_member(session, project, user):
            auditing.record(
                session, AuditAction.PROJECT_ADD_MEMBER, project.id, {"name": project.name, "user": user.name}
            )
        return _answer(session, project)


@blueprint.delete(
    "/<project>/members/<user>",
    summary="Remove a member of a project",
    responses={200: ProjectView, **problems(403, 404)},
)
def remove_project_member(path: MemberPath) -> Response:
    """If the project is not open, the user sees in it only what is their own. Doing it twice changes nothing."""
    with get_services().database.write() as session:
        project = projects.get(session, path.project)
        user = users.get(session, path.user)
        if projects.remove_member(session, project, user):
            auditing.record(
                session, AuditAction.PROJECT_REMOVE_MEMBER, project.id, {"name": project.name, "user": user.name}
            )
        return _answer(session, project)


def _answer(session: Session, project: Project) -> Response:
    return answer(project_view(session, project))
