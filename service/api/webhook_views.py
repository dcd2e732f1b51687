"""How the rows of webhooks and deliveries become the API's answers."""

from fitqueue.webhook_views import DeliveryView, WebhookView
from service.models import WebhookDelivery
from service.store.webhooks import WebhookDetails
from service.webhooks.receiver import shown_url


def webhook_view(details: WebhookDetails) -> WebhookView:
    row = details.webhook
    return WebhookView(
        id=row.id,
        kind=row.kind,
        url=shown_url(row.kind, row.url),
        events=row.events,
        project=details.project,
        job=row.job_id,
        owner=details.owner,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


def delivery_view(row: WebhookDelivery) -> DeliveryView:
    return DeliveryView(
        id=row.id,
        event=row.event,
        job=row.job_id,
        state=row.state,
        tries=row.tries,
        last_status=row.last_status,
        created_at=row.created_at,
        last_try_at=row.last_try_at,
        next_try_at=row.next_try_at,
        payload=row.payload,
    )
