"""Deliveries to webhooks. Each is written in the transaction of what it tells, and sent afterwards by a worker."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.orm import Session

from fitqueue.diagnosis import Diagnosis
from fitqueue.errors import DeliveryNotFound, WebhookDisabled
from fitqueue.webhooks import DeliveryState, WebhookEvent
from service import clock
from service.ids import new_id
from service.models import Job, Webhook, WebhookDelivery
from service.store import ownership, webhooks

KEPT_FOR: Final = timedelta(days=30)
_DELETED_AT_ONCE: Final = 1_000


def announce(session: Session, job: Job, event: WebhookEvent, message: str, now: datetime) -> None:
    """Write a delivery for each webhook that is told this event of a job.

    Args:
        message: what happened, as the job's event has it.
    """
    _announce(session, job, event, now, {"message": message})


def announce_diagnosis(session: Session, job: Job, diagnosis: Diagnosis, now: datetime) -> None:
    """Write a delivery for each webhook that is told what the losses of a job say."""
    told = {"verdict": diagnosis.verdict, "summary": diagnosis.summary, "advice": diagnosis.advice}
    _announce(session, job, WebhookEvent.DIAGNOSIS_CHANGED, now, {"message": None, "diagnosis": told})


def add_test(session: Session, webhook: Webhook) -> WebhookDelivery:
    """Write a delivery that tells nothing, to see whether it comes to the receiver.

    Raises:
        WebhookDisabled: nothing is sent to this webhook any more.
    """
    _require_enabled(webhook)
    now = clock.now(session)
    data = {"webhook": webhook.id, "message": "If you can read this, it works."}
    return _add(session, webhook, None, WebhookEvent.WEBHOOK_TEST, data, now)


def resend(session: Session, webhook: Webhook, delivery_id: str) -> WebhookDelivery:
    """Have a delivery sent again, with all its tries. It keeps its id.

    Raises:
        DeliveryNotFound: the webhook has no delivery with this id.
        WebhookDisabled: nothing is sent to this webhook any more.
    """
    _require_enabled(webhook)
    delivery = session.get(WebhookDelivery, delivery_id, with_for_update=True, populate_existing=True)
    if delivery is None or delivery.webhook_id != webhook.id:
        raise DeliveryNotFound(f"The webhook has no delivery '{delivery_id}'.")
    delivery.state, delivery.tries, delivery.next_try_at = DeliveryState.PENDING, 0, clock.now(session)
    session.flush()
    return delivery


def _announce(session: Session, job: Job, event: WebhookEvent, now: datetime, told: dict[str, Any]) -> None:
    wanting = webhooks.wanting(session, job, event)
    data = {**_summary(session, job), **told} if wanting else {}
    for webhook in wanting:
        _add(session, webhook, job.id, event, {**data, "url": f"{webhook.service_url}/jobs/{job.id}"}, now)


def _add(
    session: Session, webhook: Webhook, job_id: str | None, event: WebhookEvent, data: dict[str, Any], now: datetime
) -> WebhookDelivery:
    timestamp = now.astimezone(UTC).isoformat().replace("+00:00", "Z")
    delivery = WebhookDelivery(
        id=new_id("msg"),
        webhook_id=webhook.id,
        job_id=job_id,
        event=event,
        payload={"type": event, "timestamp": timestamp, "data": data},
        state=DeliveryState.PENDING,
        tries=0,
        created_at=now,
        next_try_at=now,
    )
    session.add(delivery)
    session.flush()
    return delivery


def _summary(session: Session, job: Job) -> dict[str, Any]:
    [names] = ownership.read(session, [job])
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "reason": job.reason,
        "project": names.project,
        "owner": names.owner,
        "epoch": job.epoch,
        "epochs": job.epochs,
        "best": _best(job),
    }


def _best(job: Job) -> dict[str, Any] | None:
    if job.best_epoch is None:
        return None
    value = job.best_value if job.best_value is not None and math.isfinite(job.best_value) else None
    return {"epoch": job.best_epoch, "monitor": job.best_monitor, "value": value}


def _require_enabled(webhook: Webhook) -> None:
    if webhook.disabled_at is not None:
        raise WebhookDisabled()


def list_page(session: Session, webhook_id: str, *, before: str | None, limit: int) -> Sequence[WebhookDelivery]:
    """Return deliveries of a webhook, newest first: those with an id below `before`."""
    query = select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)
    query = query.order_by(WebhookDelivery.id.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(WebhookDelivery.id < before)).all()


def delete_old(session: Session) -> int:
    """Delete some of the deliveries that ended long ago; return how many."""
    old = select(WebhookDelivery.id).where(
        WebhookDelivery.created_at < clock.now(session) - KEPT_FOR, WebhookDelivery.state != DeliveryState.PENDING
    )
    chosen = old.order_by(WebhookDelivery.created_at).limit(_DELETED_AT_ONCE)
    result = session.execute(delete(WebhookDelivery).where(WebhookDelivery.id.in_(chosen)))
    assert isinstance(result, CursorResult)
    return result.rowcount
