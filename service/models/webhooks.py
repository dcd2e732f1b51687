"""To whom events are told, and what is, or was, delivered to them."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from fitqueue.webhooks import DeliveryState, WebhookEvent, WebhookKind
from service.column_types import Base


class Webhook(Base):
    """Who is told the events of a project's jobs, or of one job.

    - `secret` signs messages, so it is stored as it is, and not as a hash. Only kinds that sign have one.
    - `events` is a list of WebhookEvent.
    - `service_url` is where its creator reached the service: the links in its messages begin with it.
    - `disabled_at` is set when its receiver answers that it wants no more. Nothing is sent to it from then on.
    """

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[WebhookKind]
    url: Mapped[str] = mapped_column(String(2048))
    secret: Mapped[str | None] = mapped_column(String(128))
    events: Mapped[list[Any]]
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    service_url: Mapped[str] = mapped_column(String(2048))
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("(project_id IS NULL) <> (job_id IS NULL)", name="of_project_or_job"),
        CheckConstraint("(secret IS NOT NULL) = (kind = 'webhook')", name="secret_if_signed"),
        Index(None, "project_id"),
        Index(None, "job_id"),
        Index(None, "owner_id"),
    )


class WebhookDelivery(Base):
    """An event that is, or was, delivered to a webhook. It is written in the transaction of what it tells.

    - `job_id` may be that of a job that was deleted since.
    - `tries` counts how often it was sent, since it was last resent by hand.
    - `leased_until` is set while a worker sends it. If that worker dies, another one sends it afterwards.
    - `last_status` is short, and has no text of the receiver's.
    """

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    job_id: Mapped[str | None] = mapped_column(String(64))
    event: Mapped[WebhookEvent]
    payload: Mapped[dict[str, Any]]
    state: Mapped[DeliveryState]
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    next_try_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    last_try_at: Mapped[datetime | None]
    last_status: Mapped[str | None] = mapped_column(String(200))

    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state_known"),
        CheckConstraint("(next_try_at IS NOT NULL) = (state = 'pending')", name="next_try_if_pending"),
        CheckConstraint("leased_until IS NULL OR state = 'pending'", name="leased_only_pending"),
        Index(None, "webhook_id", "id"),
        Index(None, "created_at"),
        Index(
            "ix_webhook_deliveries_pending",
            "next_try_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
    )
