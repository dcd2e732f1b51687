"""Deliveries to webhooks. Each is written in the transaction of what it tells, and sent afterwards by a worker.

A worker takes the deliveries that are due, with a lease, sends them outside of any transaction, and records what came
of it. If it dies in between, another worker sends them when the lease is over: a receiver may get a message twice, and
knows it by its id.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import CursorResult, delete, func, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.diagnosis import Diagnosis
from fitqueue.errors import DeliveryNotFound, WebhookDisabled
from fitqueue.webhooks import DeliveryState, WebhookEvent
from service import clock
from service.ids import new_id
from service.models import Job, Webhook, WebhookDelivery
from service.store import projects, users, webhooks
from service.webhooks.message import Message
from service.webhooks.outcome import Outcome, Verdict

DELAYS: Final = (5, 60, 300, 1_800, 7_200, 18_000, 43_200)
"""Seconds between the tries: eight of them in less than a day."""

MAX_TRIES: Final = len(DELAYS) + 1
JITTER: Final = 0.2
LEASE: Final = timedelta(seconds=120)
"""Longer than any try takes: a message by HTTP takes five seconds, a mail five for each answer of the server."""

KEPT_FOR: Final = timedelta(days=30)
AT_ONCE: Final = 4
"""Of one webhook: a receiver that answers slowly does not keep others waiting."""

_MAX_STATUS: Final = 200
_DELETED_AT_ONCE: Final = 1_000


@dataclass(frozen=True)
class Leased:
    """A delivery that this worker sends, until `until`."""

    message: Message
    until: datetime


# --- Writing them --------------------------------------------------------------------------------------------------


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
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "reason": job.reason,
        "project": projects.names_of(session, [job.project_id])[job.project_id],
        "owner": users.names_of(session, [job.owner_id])[job.owner_id],
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


# --- Sending them --------------------------------------------------------------------------------------------------


def any_due(session: Session) -> bool:
    """Tell whether `lease_due` would find any. This only reads, so it can be asked often."""
    return session.scalar(select(WebhookDelivery.id).where(*_due(clock.now(session))).limit(1)) is not None


def lease_due(session: Session, limit: int) -> list[Leased]:
    """Take deliveries that are due. Nobody else sends them until the lease is over, or their outcome is recorded."""
    now = clock.now(session)
    order = func.row_number().over(
        partition_by=WebhookDelivery.webhook_id, order_by=(WebhookDelivery.next_try_at, WebhookDelivery.id)
    )
    ranked = select(WebhookDelivery.id, WebhookDelivery.next_try_at, order.label("turn")).where(*_due(now)).subquery()
    chosen = select(ranked.c.id).where(ranked.c.turn <= AT_ONCE).order_by(ranked.c.next_try_at).limit(limit)
    rows = session.execute(
        select(WebhookDelivery, Webhook)
        .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
        # What is due is asked again: another worker may have taken it after this one had chosen it.
        .where(WebhookDelivery.id.in_(chosen), *_due(now))
        .order_by(WebhookDelivery.id)
        .with_for_update(skip_locked=True, of=WebhookDelivery)
    ).all()
    for delivery in [delivery for delivery, _ in rows if delivery.tries >= MAX_TRIES]:
        # The worker of the last try died before it could record what came of it.
        _end(delivery, DeliveryState.FAILED, "nobody knows what came of the last try")
    return [_lease(delivery, webhook, now) for delivery, webhook in rows if delivery.state is DeliveryState.PENDING]


def record(session: Session, leased: Leased, outcome: Outcome) -> None:
    """Record what came of a try. It changes nothing if the lease was over, and another worker has the delivery."""
    delivery = session.scalar(
        select(WebhookDelivery)
        .where(WebhookDelivery.id == leased.message.id, WebhookDelivery.leased_until == leased.until)
        .with_for_update()
    )
    if delivery is None:
        return
    now = clock.now(session)
    if outcome.verdict is Verdict.DELIVERED:
        _end(delivery, DeliveryState.DELIVERED, outcome.status)
    elif outcome.verdict is Verdict.GONE or delivery.tries >= MAX_TRIES:
        _end(delivery, DeliveryState.FAILED, outcome.status)
    else:
        delivery.leased_until, delivery.last_status = None, outcome.status[:_MAX_STATUS]
        delivery.next_try_at = now + _delay(delivery.tries)
    session.flush()
    if outcome.verdict is Verdict.GONE:
        _disable(session, delivery.webhook_id, now)


def _lease(delivery: WebhookDelivery, webhook: Webhook, now: datetime) -> Leased:
    delivery.tries += 1
    delivery.last_try_at, delivery.leased_until = now, now + LEASE
    return Leased(Message(delivery.id, webhook.kind, webhook.url, webhook.secret, delivery.payload), now + LEASE)


def _end(delivery: WebhookDelivery, state: DeliveryState, status: str) -> None:
    delivery.state, delivery.last_status = state, status[:_MAX_STATUS]
    delivery.next_try_at = delivery.leased_until = None


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        WebhookDelivery.state == DeliveryState.PENDING,
        WebhookDelivery.next_try_at <= now,
        or_(WebhookDelivery.leased_until.is_(None), WebhookDelivery.leased_until <= now),
    )


def _delay(tries: int) -> timedelta:
    """Return how long to wait after so many tries; at random, so that what failed together is not sent together."""
    seconds = DELAYS[max(tries, 1) - 1]
    return timedelta(seconds=seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 -- jitter is not a secret


def _disable(session: Session, webhook_id: str, now: datetime) -> None:
    """Send nothing to a webhook any more, nor what is waiting for it."""
    session.execute(update(Webhook).where(Webhook.id == webhook_id).values(disabled_at=now))
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.state == DeliveryState.PENDING)
        .values(state=DeliveryState.FAILED, next_try_at=None, leased_until=None, last_status="the webhook was disabled")
    )


# --- Reading and deleting them -------------------------------------------------------------------------------------


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
