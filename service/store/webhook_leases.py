"""Which deliveries to webhooks a worker sends, and what came of it.

A worker takes the deliveries that are due, with a lease, sends them outside of any transaction, and records what came
of it. If it dies in between, another worker sends them when the lease is over: a receiver may get a message twice, and
knows it by its id.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from fitqueue.webhooks import DeliveryState
from service import clock
from service.models import Webhook, WebhookDelivery
from service.webhooks.message import Message
from service.webhooks.outcome import Outcome, Verdict

DELAYS: Final = (5, 60, 300, 1_800, 7_200, 18_000, 43_200)
"""Seconds between the tries: eight of them in less than a day."""

MAX_TRIES: Final = len(DELAYS) + 1
JITTER: Final = 0.2
LEASE: Final = timedelta(seconds=120)
"""Longer than any try takes: a message by HTTP takes five seconds, a mail five for each answer of the server."""

AT_ONCE: Final = 4
"""Of one webhook: a receiver that answers slowly does not keep others waiting."""

_MAX_STATUS: Final = 200


@dataclass(frozen=True)
class Leased:
    """A delivery that this worker sends, until `until`."""

    message: Message
    until: datetime


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
