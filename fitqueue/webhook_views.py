"""The JSON bodies about webhooks. `fitqueue.views` has all others."""

from datetime import datetime
from typing import Any

from pydantic import Field

from fitqueue.view import View
from fitqueue.webhooks import DeliveryState, WebhookEvent, WebhookKind


class WebhookView(View):
    """A webhook: to whom the events of a project, or of one job, are told."""

    SHOWN = ("id", "kind", "url", "events", "project", "job")

    id: str
    kind: WebhookKind
    url: str = Field(description="where it sends to; what may be a secret in it is replaced by `…`")
    events: list[WebhookEvent]
    project: str | None = Field(description="the project whose jobs it tells about; null if it is for one job")
    job: str | None = Field(description="the id of the only job that it tells about; else null")
    owner: str = Field(description="name of the user who created it")
    created_at: datetime
    disabled_at: datetime | None = Field(description="since when it sends nothing, because its receiver answered 410")


class NewWebhook(WebhookView):
    """A webhook that was just created."""

    secret: str | None = Field(
        description="the key of its signatures, which no other answer has; null for kinds that do not sign"
    )


class DeliveryView(View):
    """An event that is, or was, delivered to a webhook."""

    SHOWN = ("id", "event", "job", "state", "tries", "last_status")

    id: str = Field(description="the `webhook-id` of the message, the same with each try")
    event: WebhookEvent
    job: str | None = Field(description="the id of the job that it is about; null for a test")
    state: DeliveryState
    tries: int = Field(description="how often it was sent, since it was last resent by hand")
    last_status: str | None = Field(description="what came of the last try: the status of the answer, or what failed")
    created_at: datetime
    last_try_at: datetime | None
    next_try_at: datetime | None = Field(description="when it is sent next; null once it is delivered or has failed")
    payload: dict[str, Any] = Field(description="the message")
