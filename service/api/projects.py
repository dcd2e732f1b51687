"""Projects: everybody lists those that they see; admins create and change them."""

from collections.abc import Callable

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
from service.models import Project, User
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
    return answer(Page[ProjectView](data=read_projects(), next_cursor=None))


def read_projects() -> list[ProjectView]:
    """Return the projects that the user sees, by name."""
    with get_services().database.read() as session:
        return project_views(session, projects.list_all(session, principal().viewer))


@blueprint.post(
    "",
    summary="Create a project",
    openapi_extensions=json_request(NewProject, {"name": "vision", "open": False}),
    responses={201: ProjectView, **problems(400, 403, 409, 413, 415)},
)
def create_project() -> Response:
    view = create(json_body())
    return answer(view, 201, {"Location": address_of(f"/projects/{view.id}")})


def create(body: object) -> ProjectView:
    """Create the project that a request describes.

    Raises:
        InvalidRequest: the request does not describe one.
        NameTaken: another project has this name.
    """
    wanted = validated(NewProject, body)
    with get_services().database.write() as session:
        view = project_view(session, projects.create(session, wanted.name, is_open=wanted.open))
        auditing.record(session, AuditAction.PROJECT_CREATE, view.id, {"name": view.name, "open": view.open})
        return view


@blueprint.get("/<project>", summary="Get a project", responses={200: ProjectView, **problems(404)})
def get_project(path: ProjectPath) -> Response:
    with get_services().database.read() as session:
        return answer(project_view(session, projects.get(session, path.project, principal().viewer)))


@blueprint.patch(
    "/<project>",
    summary="Change a project",
    openapi_extensions=json_request(ProjectChange, {"open": True, "limits": {"gpus": 8}}),
    responses={200: ProjectView, **problems(400, 403, 404, 413, 415)},
)
def change_project(path: ProjectPath) -> Response:
    """Whether it is open, its share, limits and retention. Its name stays: jobs and data sets refer to it."""
    return answer(change(path.project, json_body()))


def change(reference: str, body: object) -> ProjectView:
    """Change a project as a request says.

    Raises:
        InvalidRequest: the request does not describe a change.
        ProjectNotFound: there is no such project.
    """
    asked = validated(ProjectChange, body)
    columns = {"open": "is_open", "share": "share"}
    with get_services().database.write() as session:
        project = projects.get(session, reference)
        session.refresh(project, with_for_update=True)
        before = project_view(session, project)
        for name in asked.model_fields_set & columns.keys():
            setattr(project, columns[name], getattr(asked, name))
        if "limits" in asked.model_fields_set:
            project.limits = merged(project.limits, asked.limits)
        session.flush()
        if "retention" in asked.model_fields_set:
            retention.set(session, project.id, _patched(before.retention, asked.retention))
            session.refresh(project)
        after = project_view(session, project)
        auditing.record_change(session, auditing.actor(), AuditAction.PROJECT_CHANGE, before, after)
        return after


def _patched(before: Retention, patch: Retention | None) -> Retention:
    """Return a retention after a merge patch; None stands for the default."""
    return Retention() if patch is None else before.model_copy(update=patch.model_dump(exclude_unset=True))


@blueprint.put(
    "/<project>/members/<user>", summary="Add a member to a project", responses={200: ProjectView, **problems(403, 404)}
)
def add_project_member(path: MemberPath) -> Response:
    """The user sees the project from now on. Doing it twice changes nothing."""
    return answer(add_member(path.project, path.user))


def add_member(reference: str, user: str) -> ProjectView:
    """Let a user see a project.

    Raises:
        ProjectNotFound: there is no such project.
        UserNotFound: there is no such user.
    """
    return _change_members(reference, user, projects.add_member, AuditAction.PROJECT_ADD_MEMBER)


@blueprint.delete(
    "/<project>/members/<user>",
    summary="Remove a member of a project",
    responses={200: ProjectView, **problems(403, 404)},
)
def remove_project_member(path: MemberPath) -> Response:
    """If the project is not open, the user sees in it only what is their own. Doing it twice changes nothing."""
    return answer(remove_member(path.project, path.user))


def remove_member(reference: str, user: str) -> ProjectView:
    """Hide a project from a user, unless it is open.

    Raises:
        ProjectNotFound: there is no such project.
        UserNotFound: there is no such user.
    """
    return _change_members(reference, user, projects.remove_member, AuditAction.PROJECT_REMOVE_MEMBER)


def _change_members(
    reference: str, user: str, change: Callable[[Session, Project, User], bool], action: AuditAction
) -> ProjectView:
    with get_services().database.write() as session:
        project = projects.get(session, reference)
        member = users.get(session, user)
        if change(session, project, member):
            data: dict[str, object] = {"name": project.name, "user": member.name}
            auditing.record(session, action, project.id, data)
        return project_view(session, project)
