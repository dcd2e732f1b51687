"""Projects: what jobs and data sets belong to, and who sees them."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fitqueue.errors import NameTaken, ProjectNotFound
from service import clock
from service.ids import new_id
from service.models import Project, ProjectMember, User
from service.store.access import EVERYTHING, Viewer


def create(session: Session, name: str, *, is_open: bool = True) -> Project:
    """Create a project.

    Raises:
        NameTaken: another project has this name.
    """
    project = Project(id=new_id("prj"), name=name, is_open=is_open, created_at=clock.now(session))
    try:
        with session.begin_nested():
            session.add(project)
    except IntegrityError as error:
        raise NameTaken(f"Another project already has the name '{name}'.") from error
    return project


def find(session: Session, reference: str, viewer: Viewer = EVERYTHING) -> Project | None:
    """Return the project with this name or id, if the viewer may see it."""
    project = session.scalar(select(Project).where(or_(Project.name == reference, Project.id == reference)))
    return None if project is None or project.id in viewer.hidden else project


def get(session: Session, reference: str, viewer: Viewer = EVERYTHING) -> Project:
    """Return the project with this name or id.

    Raises:
        ProjectNotFound: there is none that the viewer may see.
    """
    project = find(session, reference, viewer)
    if project is None:
        raise ProjectNotFound(f"There is no project '{reference}'.")
    return project


def list_all(session: Session, viewer: Viewer = EVERYTHING) -> Sequence[Project]:
    """Return the projects that the viewer may see, by name."""
    query = select(Project).where(Project.id.not_in(sorted(viewer.hidden))).order_by(Project.name)
    return session.scalars(query).all()


def members(session: Session, project_ids: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Return the names of the members of each project, by its id, in alphabetical order."""
    rows = session.execute(
        select(ProjectMember.project_id, User.name)
        .join(User, User.id == ProjectMember.user_id)
        .where(ProjectMember.project_id.in_(set(project_ids)))
        .order_by(User.name)
    )
    found: dict[str, list[str]] = {}
    for project_id, name in rows:
        found.setdefault(project_id, []).append(name)
    return found


def add_member(session: Session, project: Project, user: User) -> bool:
    """Let a user see the project; False if they are a member already."""
    try:
        with session.begin_nested():
            session.add(ProjectMember(project_id=project.id, user_id=user.id))
    except IntegrityError:
        return False
    return True


def remove_member(session: Session, project: Project, user: User) -> bool:
    """Hide the project from a user, unless it is open; False if they are not a member."""
    row = session.get(ProjectMember, (project.id, user.id), with_for_update=True)
    if row is None:
        return False
    session.delete(row)
    session.flush()
    return True
