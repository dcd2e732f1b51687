"""Webhooks: to whom the events of a project's jobs, or of one job, are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Select, String, bindparam, func, or_, select
from sqlalchemy.orm import Session

from fitqueue.errors import TooManyWebhooks, WebhookNotFound
from fitqueue.roles import Role
from fitqueue.webhooks import WebhookEvent, WebhookKind
from service import clock
from service.ids import new_id
from service.models import Job, Project, User, Webhook
from service.store import access
from service.store.principals import Principal
from service.webhooks.signing import new_secret

MAX_WEBHOOKS: Final = 20
"""Of one user for one project or job. Each of them is a row and a request with each event."""

# Each end of a job needs it, and it takes longer to build than to run.
_OF_JOB: Final = (
    select(Webhook, User.role)
    .join(User, User.id == Webhook.owner_id)
    .where(
        or_(
            Webhook.job_id == bindparam("job_id", type_=String),
            Webhook.project_id == bindparam("project_id", type_=String),
        ),
        Webhook.disabled_at.is_(None),
        User.disabled_at.is_(None),
    )
    .order_by(Webhook.id)
)
# Nobody deletes one before its delivery, which refers to it, is committed.
_OF_JOB_KEPT: Final = _OF_JOB.with_for_update(read=True, key_share=True, of=Webhook)


@dataclass(frozen=True)
class WebhookDetails:
    """A webhook with the names that users know."""

    webhook: Webhook
    owner: str
    project: str | None


def create(
    session: Session,
    kind: WebhookKind,
    url: str,
    events: Sequence[WebhookEvent],
    *,
    owner_id: str,
    service_url: str,
    project_id: str | None = None,
    job_id: str | None = None,
) -> Webhook:
    """Create a webhook for the jobs of a project, or for one job. One that signs gets its secret.

    Raises:
        TooManyWebhooks: the user has so many for this project or job already.
    """
    of_same = Webhook.owner_id == owner_id, Webhook.project_id == project_id, Webhook.job_id == job_id
    if (session.scalar(select(func.count()).select_from(Webhook).where(*of_same)) or 0) >= MAX_WEBHOOKS:
        raise TooManyWebhooks(f"You have {MAX_WEBHOOKS} webhooks for this already; remove one first.")
    webhook = Webhook(
        id=new_id("wh"),
        kind=kind,
        url=url,
        secret=new_secret() if kind is WebhookKind.WEBHOOK else None,
        events=list(dict.fromkeys(events)),
        project_id=project_id,
        job_id=job_id,
        owner_id=owner_id,
        service_url=service_url,
        created_at=clock.now(session),
    )
    session.add(webhook)
    session.flush()
    return webhook


def get(session: Session, webhook_id: str, who: Principal) -> Webhook:
    """Return a webhook that the user manages.

    Raises:
        WebhookNotFound: there is none with this id.
    """
    webhook = session.scalar(select(Webhook).where(Webhook.id == webhook_id, *_managed_by(who)))
    if webhook is None:
        raise WebhookNotFound(f"You have no webhook '{webhook_id}'.")
    return webhook


def list_page(
    session: Session,
    who: Principal,
    *,
    before: str | None,
    limit: int,
    project_id: str | None = None,
    job_id: str | None = None,
) -> Sequence[Webhook]:
    """Return webhooks that the user manages, newest first: those with an id below `before`.

    Args:
        project_id: only those for this project.
        job_id: only those for this job alone.
    """
    query = select(Webhook).where(*_managed_by(who)).order_by(Webhook.id.desc()).limit(limit)
    wanted = [(Webhook.project_id, project_id), (Webhook.job_id, job_id)]
    query = query.where(*(column == value for column, value in wanted if value is not None))
    return session.scalars(query if before is None else query.where(Webhook.id < before)).all()


def delete(session: Session, webhook_id: str, who: Principal) -> None:
    """Delete a webhook with its deliveries.

    Raises:
        WebhookNotFound: the user manages none with this id.
    """
    session.delete(get(session, webhook_id, who))


def with_names(session: Session, rows: Sequence[Webhook]) -> list[WebhookDetails]:
    """Return webhooks with the names of their owners and projects."""
    ids = [row.id for row in rows]
    named = session.execute(
        select(Webhook.id, User.name.label("owner"), Project.name.label("project"))
        .join(User, User.id == Webhook.owner_id)
        .outerjoin(Project, Project.id == Webhook.project_id)
        .where(Webhook.id.in_(ids))
    )
    names = {row.id: (row.owner, row.project) for row in named}
    return [WebhookDetails(row, *names[row.id]) for row in rows]


def is_any_wanting(session: Session, job: Job, event: WebhookEvent) -> bool:
    """Tell whether a webhook is told this event of a job."""
    return bool(_wanting(session, _OF_JOB, job, event))


def wanting(session: Session, job: Job, event: WebhookEvent) -> list[Webhook]:
    """Return the webhooks that are told this event of a job. Nobody deletes them before the transaction ends."""
    return _wanting(session, _OF_JOB_KEPT, job, event)


def _wanting(session: Session, query: Select[Webhook, Role], job: Job, event: WebhookEvent) -> list[Webhook]:
    """Return the webhooks that want an event, and whose owners may still see the job."""
    rows = session.execute(query, {"job_id": job.id, "project_id": job.project_id}).all()
    return [
        webhook
        for webhook, role in rows
        if event in webhook.events and access.viewer_of(session, webhook.owner_id, role).sees(job)
    ]


def _managed_by(who: Principal) -> list[ColumnElement[bool]]:
    """Return the condition that a user manages a webhook: it is theirs, or it is for a job of theirs."""
    if who.is_admin:
        return []
    of_own_job = select(Job.id).where(Job.id == Webhook.job_id, Job.owner_id == who.user_id).exists()
    return [or_(Webhook.owner_id == who.user_id, of_own_job)]
