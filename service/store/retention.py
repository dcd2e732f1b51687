"""How long each project keeps what its ended jobs have left, and what it has removed."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fitqueue.retention import NAMES, Removable, Retention
from service.models import Job, Project

FIRST_LOOK: Final = timedelta(days=1)
"""How long after its end a job is looked at for the first time. No project keeps anything for less."""

DATED: Final = 500
"""Jobs that one step dates anew."""


def get(session: Session, project_id: str) -> Retention:
    """Return the retention of a project. One that does not exist has the default."""
    return of_project(session.get(Project, project_id))


def set(session: Session, project_id: str, retention: Retention) -> None:
    """Give a project another retention. Workers then look at its ended jobs anew, some at a time."""
    values = {"retention": retention.model_dump(mode="json"), "retention_cursor": ""}
    session.execute(update(Project).where(Project.id == project_id).values(values))


def of_projects(session: Session) -> Mapping[str, tuple[str, Retention]]:
    """Return the name and the retention of each project, by its id."""
    return {project.id: (project.name, of_project(project)) for project in session.scalars(select(Project))}


def date_some(session: Session) -> bool:
    """Have some ended jobs of a project looked at whose retention has changed; return False if there are none."""
    project = session.scalar(
        select(Project)
        .where(Project.retention_cursor.is_not(None))
        .order_by(Project.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # another worker is at it
    )
    if project is None:
        return False
    after = Job.project_id == project.id, Job.id > project.retention_cursor
    ids = session.scalars(select(Job.id).where(*after).order_by(Job.id).limit(DATED)).all()
    ended = update(Job).where(Job.id.in_(ids), Job.finished_at.is_not(None), Job.deleted_at.is_(None))
    session.execute(ended.values(retention_due_at=Job.finished_at).execution_options(synchronize_session=False))
    project.retention_cursor = ids[-1] if len(ids) == DATED else None
    return True


def sentence(what: Removable, days: int, project: str) -> str:
    """Return `The snapshots were removed after 30 days by the retention of the project lab.`, for example."""
    verb = "was" if what is Removable.LOGS else "were"
    after = "1 day" if days == 1 else f"{days:,} days"
    return f"The {NAMES[what]} {verb} removed after {after} by the retention of the project {project}."


def removed_after_end(job: Job, what: Removable) -> bool:
    """Tell whether this was removed since the job has ended: not before it was extended and ended again."""
    entry = job.removed.get(what)
    return entry is not None and job.finished_at is not None and datetime.fromisoformat(entry["at"]) >= job.finished_at


def why_removed(job: Job, *kinds: Removable) -> str | None:
    """Return why an ended job no longer has one of these, as a sentence; None if it was not removed."""
    entries = [job.removed[what] for what in kinds if what in job.removed]
    return entries[0]["message"] if entries and job.state.is_final else None


def of_project(project: Project | None) -> Retention:
    """Return the retention of a project, which is the default if nobody has set one."""
    stored = None if project is None else project.retention
    return Retention() if stored is None else Retention.model_validate(stored, extra="ignore")
